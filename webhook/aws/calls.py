"""Calling boto3 from the event loop: one bounded thread pool, short timeouts, errors in our own words."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from webhook.telemetry import metrics
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

_THREADS = 16

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=_THREADS,
    user_agent_extra="mxp-identity-webhook",
)

_KINDS = {
    "AccessDenied": FailureKind.ACCESS_DENIED,
    "AccessDeniedException": FailureKind.ACCESS_DENIED,
    "InvalidClientTokenId": FailureKind.ACCESS_DENIED,
    "InvalidIdentityToken": FailureKind.ACCESS_DENIED,
    "UnrecognizedClientException": FailureKind.ACCESS_DENIED,
    "MissingAuthenticationToken": FailureKind.ACCESS_DENIED,
    "ExpiredToken": FailureKind.ACCESS_DENIED,
    "ExpiredTokenException": FailureKind.ACCESS_DENIED,
    "SignatureDoesNotMatch": FailureKind.ACCESS_DENIED,
    "UnmodifiableEntity": FailureKind.NOT_ALLOWED,
    "NoSuchEntity": FailureKind.NO_SUCH_ROLE,
    "LimitExceeded": FailureKind.FULL,
    "MalformedPolicyDocument": FailureKind.MALFORMED,
    "ValidationError": FailureKind.MALFORMED,
    "Throttling": FailureKind.THROTTLED,
    "ThrottlingException": FailureKind.THROTTLED,
    "RequestLimitExceeded": FailureKind.THROTTLED,
    "TooManyRequestsException": FailureKind.THROTTLED,
    "ResourceNotFoundException": FailureKind.NOT_FOUND,
    "ResourceInUseException": FailureKind.IN_USE,
    "ResourceLimitExceededException": FailureKind.FULL,
    # EKS says it of a role that it does not know yet or may not assume yet, as after a write seconds ago.
    "InvalidParameterException": FailureKind.ROLE_NOT_ACCEPTED,
    "InvalidRequestException": FailureKind.MALFORMED,
}

_HOW_TO_GIVE_THEM = "a person sets AWS_PROFILE or runs `aws configure`, a pod has a role by its ServiceAccount"


class AwsCalls:
    """The program's AWS clients. Their configuration, credentials and endpoints are the SDK's own (`AWS_*`).

    A person who only reads may have a call tried several times (`attempts`), as the SDK does it. Raises AwsError
    where the SDK's own configuration cannot be used.
    """

    def __init__(self, attempts: int = 1) -> None:
        core = botocore.session.get_session()
        if region := os.environ.get("AWS_REGION"):
            core.set_config_variable("region", region)  # botocore reads AWS_DEFAULT_REGION alone, other SDKs this
        # The default also covers the STS client that fetches the program's own credentials.
        retries = Config(retries={"mode": "standard", "total_max_attempts": attempts})
        core.set_default_client_config(_CONFIG.merge(retries))
        with _configuration():
            self._session = boto3.Session(botocore_session=core)
            self.region = self._session.region_name or "us-east-1"
            self.iam: IAMClient = self._session.client("iam", region_name=self.region)
            self.sts: STSClient = self._session.client("sts", region_name=self.region)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")

    @cached_property
    def eks(self) -> EKSClient:
        """EKS, for mode pod-identity alone: what a client costs in memory is not spent before."""
        with _configuration():
            return self._session.client("eks", region_name=self.region)

    @cached_property
    def sts_without_credentials(self) -> STSClient:
        """STS as a pod calls it that has only a token."""
        with _configuration():
            return self._session.client("sts", region_name=self.region, config=Config(signature_version=UNSIGNED))

    async def call(self, operation: str, function: Callable[..., T], **arguments: Any) -> T:
        """Call a client's method in the pool. Raises AwsError with AWS's own words and the operation's name."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: _timed(operation, function, arguments))

    def close(self) -> None:
        """Start nothing more; calls under way end by their timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _configuration() -> Iterator[None]:
    """Raise AwsError where the SDK's own configuration cannot be used."""
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise AwsError(FailureKind.NOT_ALLOWED, f"the AWS SDK's configuration: {error}") from error


def _timed(operation: str, function: Callable[..., T], arguments: dict[str, Any]) -> T:
    started = time.perf_counter()
    code = "OK"
    try:
        return function(**arguments)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        message = error.response.get("Error", {}).get("Message", "no message")
        raise AwsError(_KINDS.get(code, FailureKind.UNAVAILABLE), f"{operation}: {code}: {message}") from error
    except NoCredentialsError as error:
        code = type(error).__name__
        raise AwsError(FailureKind.ACCESS_DENIED, f"{operation}: {error}; {_HOW_TO_GIVE_THEM}") from error
    except (BotoCoreError, OSError) as error:
        code = type(error).__name__
        raise AwsError(FailureKind.UNAVAILABLE, f"{operation}: {error}") from error
    except ValueError as error:  # a port that is none: the SDK looks at it when it signs
        code = type(error).__name__
        raise AwsError(FailureKind.NOT_ALLOWED, f"{operation}: the AWS SDK's configuration: {error}") from error
    finally:
        metrics.aws_seconds.labels(operation, code).observe(time.perf_counter() - started)
