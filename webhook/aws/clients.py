"""The SDK's clients, made where they are first used: in a thread that may block, never on the event loop."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ContainerProvider, RefreshableCredentials
from botocore.exceptions import BotoCoreError, NoCredentialsError, ProfileNotFound, UnknownRegionError
from botocore.loaders import create_loader
from botocore.utils import ContainerMetadataFetcher

from webhook.aws.exchange import check_answer, current, note_answer, note_endpoint, refuse_doctype, refuse_writes
from webhook.model.aws_errors import AwsError, FailureKind, Service
from webhook.model.text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from botocore.credentials import Credentials
    from botocore.loaders import Loader
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_eks_auth import EKSAuthClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

    _Signed = Literal["iam", "sts", "eks", "eks-auth", "s3", "ec2"]


_MUST_RENEW = 600
"""Seconds before the end of credentials within which botocore has every caller wait for new ones."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The credentials of a session. Only the first part is ever shown."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)


class CredentialsError(Exception):
    """There are no credentials; the reason is the cause."""


class OwnCredentials:
    """Has credentials ready before a request needs them.

    While their source hangs, thousands of callers wait for one attempt and share its failure: each with an attempt
    of its own, the last would wait for all others. A source that works again is asked by the next call.
    """

    def __init__(self, session: botocore.session.Session) -> None:
        self._session = session
        self._found: Credentials | None = None
        self._lock = threading.Lock()
        self._failed_at = 0.0
        self._failure: Exception | None = None
        # The SDK's own fetcher tries three times with pauses; here the caller decides about a retry.
        fetcher = ContainerMetadataFetcher(sleep=lambda _: None)
        fetcher.RETRY_ATTEMPTS = 1
        provider = ContainerProvider(fetcher=fetcher)  # type: ignore[arg-type]  # the stubs name another fetcher
        resolver = session.get_component("credential_provider")
        if ContainerProvider.METHOD in (one.METHOD for one in resolver.providers):
            resolver.insert_before(ContainerProvider.METHOD, provider)

    def make_ready(self) -> None:
        """Return once there are credentials to sign with. Raises CredentialsError."""
        asked = time.monotonic()
        if _are_good(self._found):
            return
        with self._lock:
            if self._failure and self._failed_at >= asked:
                raise CredentialsError from self._failure
            try:
                self._found = self._fetched()
            except Exception as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise CredentialsError from error
            self._failure = None

    def _fetched(self) -> Credentials:
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        found.get_frozen_credentials()
        return found


def _are_good(found: Credentials | None) -> bool:
    if found is None:
        return False
    return not isinstance(found, RefreshableCredentials) or not found.refresh_needed(_MUST_RENEW)


THREADS = 16

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    max_pool_connections=THREADS,
    user_agent_extra="mxp-identity-webhook",
)

_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""A region for IAM and STS of each partition, where neither environment nor configuration names one."""


class AwsClients:
    """Clients with credentials ready. Their configuration, credentials and endpoints are the SDK's own (`AWS_*`).

    For any thread. A client raises AwsError where the SDK's own configuration cannot be used, and CredentialsError
    where there are no credentials; both are tried again by the next call. With `read_only` no operation is sent
    but those that read, and those that fetch credentials.
    """

    def __init__(self, attempts: int, partition: str, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._attempts = attempts
        self._partition = partition
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._session: tuple[boto3.Session, OwnCredentials] | None = None

    @property
    def iam(self) -> IAMClient:
        """IAM."""
        client: IAMClient = self._signing("iam")
        return client

    @property
    def sts(self) -> STSClient:
        """STS."""
        client: STSClient = self._signing("sts")
        return client

    @property
    def eks(self) -> EKSClient:
        """EKS."""
        client: EKSClient = self._signing("eks")
        return client

    @property
    def eks_auth(self) -> EKSAuthClient:
        """EKS Auth, which gives the credentials of a pod's association."""
        client: EKSAuthClient = self._signing("eks-auth")
        return client

    def with_keys(self, service: Service, keys: SessionKeys) -> Any:
        """A client of a session's, in place of the program's own credentials."""
        return self._client(
            f"{service} as {keys.access_key}",
            lambda session: session.client(
                service.value,
                region_name=self.region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
            ),
        )

    def s3(self, region: str) -> Any:
        """S3 in a region, which is the bucket's."""
        return self._signing("s3", region)

    def s3_as(self, region: str, keys: SessionKeys) -> Any:
        """S3 in a region, called with credentials that were issued for another: a new client each time."""
        session, _ = self._open()
        with self._lock, _configuration():
            return session.client(
                "s3",
                region_name=region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
            )

    @property
    def ec2(self) -> Any:
        """EC2, whose VPC endpoints have policies."""
        return self._signing("ec2")

    @property
    def sts_without_credentials(self) -> STSClient:
        """STS as a pod calls it that has only a token."""
        client: STSClient = self.without_credentials(Service.STS)
        return client

    def without_credentials(self, service: Service) -> Any:
        """A client that signs nothing."""
        unsigned = Config(signature_version=UNSIGNED)
        return self._client(
            f"{service}, unsigned",
            lambda session: session.client(service.value, region_name=self.region, config=unsigned),
        )

    @property
    def region(self) -> str:
        """AWS_REGION, else the SDK's own, else one of the partition. Raises AwsError."""
        session, _ = self._open()
        if session.region_name:
            return session.region_name
        return _REGIONS.get(self._partition) or next(
            iter(session.get_available_regions("sts", partition_name=self._partition)), _REGIONS["aws"]
        )

    @contextmanager
    def sending_only_while(self, may_send: Callable[[], bool]) -> Iterator[None]:
        """Write a trust policy inside only if `may_send` holds right before the request goes out.

        Else NotSentError is raised. By then credentials have been fetched, which can take longer than the write.
        """
        exchange = current()
        if exchange is None:
            raise RuntimeError("this is not the thread of a call")
        exchange.may_send = may_send
        try:
            yield
        finally:
            exchange.may_send = None

    def _signing(self, service: _Signed, region: str | None = None) -> Any:
        """A client with the program's own credentials; in a region of its own, where one is given."""
        _, credentials = self._open()
        credentials.make_ready()
        return self._client(
            f"{service} {region}", lambda session: session.client(service, region_name=region or self.region)
        )

    def _client(self, name: str, make: Callable[[boto3.Session], Any]) -> Any:
        session, _ = self._open()
        with self._lock, _configuration():
            if name not in self._made:
                self._made[name] = make(session)
            return self._made[name]

    def _open(self) -> tuple[boto3.Session, OwnCredentials]:
        with self._lock, _configuration():
            if self._session is None:
                self._session = self._opened()
            return self._session

    def _opened(self) -> tuple[boto3.Session, OwnCredentials]:
        core = _new_session()
        if region := os.environ.get("AWS_REGION"):
            core.set_config_variable("region", region)  # botocore reads AWS_DEFAULT_REGION alone, other SDKs this
        # The default also covers the STS client that fetches the program's own credentials.
        retries = Config(retries={"mode": "standard", "total_max_attempts": self._attempts})
        core.set_default_client_config(_CONFIG.merge(retries))
        if self._read_only:
            core.register("before-call", refuse_writes)
        core.register("before-send", note_endpoint)
        core.register("before-parse", note_answer)
        core.register("before-parse", refuse_doctype)
        core.register("after-call", check_answer)
        return boto3.Session(botocore_session=core), OwnCredentials(core)


def partition_of(region: str) -> str:
    """The partition that a region is in; `aws` where the SDK does not know it.

    Raises AwsError where the SDK's own configuration cannot be used.
    """
    with _configuration():
        try:
            found: str = _new_session().get_partition_for_region(region)
        except UnknownRegionError:
            return "aws"
        return found


def _new_session() -> botocore.session.Session:
    """A session of the SDK. All sessions of a process share what the SDK knows of services and endpoints."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _definitions(session.get_config_variable("data_path")))
    return session


@cache
def _definitions(data_path: str | None) -> Loader:
    return create_loader(data_path)


@contextmanager
def _configuration() -> Iterator[None]:
    """Raise AwsError where the SDK's own configuration cannot be used."""
    try:
        yield
    except ProfileNotFound as error:
        known = ", ".join(sorted(botocore.session.Session().available_profiles)) or "none"
        message = bounded(f'AWS profile "{error.kwargs["profile"]}" not found; available: {known}', 300)
        raise AwsError(FailureKind.NOT_ALLOWED, message) from error
    except (BotoCoreError, ValueError) as error:
        message = bounded(f"the AWS SDK's configuration: {error}", 300)
        raise AwsError(FailureKind.NOT_ALLOWED, message) from error
