"""What an exception during a call of AWS means: a kind for the program, words for a person, a code for metrics.

All else is an answer that is not AWS's, or a fault that does not pass by itself: UNEXPECTED.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from webhook.aws.clients import CredentialsError
from webhook.aws.exchange import TooLargeError
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import forget_locals
from webhook.model.text import bounded
from webhook.runtime.unreachable import NO_SUCH_HOST, why_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.aws.exchange import Answer

_LONGEST = 400
"""Characters of a message."""

_KINDS = {
    "AccessDenied": FailureKind.ACCESS_DENIED,
    "AccessDeniedException": FailureKind.ACCESS_DENIED,
    "InvalidIdentityToken": FailureKind.ACCESS_DENIED,
    "IDPRejectedClaim": FailureKind.ACCESS_DENIED,
    "RegionDisabledException": FailureKind.ACCESS_DENIED,
    # About the credentials, not about what they allow: AWS answers that only for a known caller.
    "InvalidClientTokenId": FailureKind.UNEXPECTED,
    "UnrecognizedClientException": FailureKind.UNEXPECTED,
    "MissingAuthenticationToken": FailureKind.UNEXPECTED,
    "ExpiredToken": FailureKind.UNEXPECTED,
    "ExpiredTokenException": FailureKind.UNEXPECTED,
    "RequestExpired": FailureKind.UNEXPECTED,
    "SignatureDoesNotMatch": FailureKind.UNEXPECTED,
    "UnmodifiableEntity": FailureKind.NOT_ALLOWED,
    "NoSuchEntity": FailureKind.NO_SUCH_ROLE,
    "LimitExceeded": FailureKind.FULL,
    "MalformedPolicyDocument": FailureKind.MALFORMED,
    "ValidationError": FailureKind.MALFORMED,
    "Throttling": FailureKind.THROTTLED,
    "ThrottlingException": FailureKind.THROTTLED,
    "RequestLimitExceeded": FailureKind.THROTTLED,
    "TooManyRequestsException": FailureKind.THROTTLED,
    "ConcurrentModification": FailureKind.UNAVAILABLE,
    "EntityTemporarilyUnmodifiable": FailureKind.UNAVAILABLE,
    "IDPCommunicationError": FailureKind.UNAVAILABLE,
    "InternalFailure": FailureKind.UNAVAILABLE,
    "RequestTimeout": FailureKind.UNAVAILABLE,
    "ServerException": FailureKind.UNAVAILABLE,
    "ServiceFailure": FailureKind.UNAVAILABLE,
    "ServiceUnavailable": FailureKind.UNAVAILABLE,
    "ServiceUnavailableException": FailureKind.UNAVAILABLE,
    "ResourceNotFoundException": FailureKind.NOT_FOUND,
    "ResourceInUseException": FailureKind.IN_USE,
    "ResourceLimitExceededException": FailureKind.FULL,
    # EKS's answer for a role that it does not know or may not assume yet, as after a write seconds ago.
    "InvalidParameterException": FailureKind.ROLE_NOT_ACCEPTED,
    "InvalidRequestException": FailureKind.MALFORMED,
}

_BY_STATUS = {408: FailureKind.UNAVAILABLE, 429: FailureKind.THROTTLED}
_REDIRECTION, _SERVER_ERRORS = 300, 500

_UNREADABLE = (ResponseParserError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What reading an answer of another form than AWS's raises, or one that is nested too deep."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}", re.ASCII)

_NO_ANSWER = (
    sdk.ConnectionError,
    sdk.ConnectionClosedError,
    sdk.ReadTimeoutError,
    ConnectionError,
    TimeoutError,
)
"""A server that does not answer may do so in a moment."""

# How http.client words a proxy's answer to CONNECT, and the SDK the agent's to a request for credentials.
_STATUS = re.compile(r"Tunnel connection failed: (\d{3})|Received non 200 response (\d{3})")

_UNREACHABLE = "cannot reach "
_NO_CREDENTIALS = "no AWS credentials"
_GET_SOME = "set AWS_PROFILE or run `aws configure`; a pod has a role by its ServiceAccount"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})
_NOT_AWS = "not AWS's answer; does a proxy answer? See AWS_ENDPOINT_URL, HTTPS_PROXY and NO_PROXY"


def explained(operation: str, error: Exception, answer: Answer | None) -> tuple[str, AwsError]:
    """The code for metrics, one of a bounded number, and the error to raise; `answer` is what came back last."""
    if found := next((one for one in _causes(error) if isinstance(one, AwsError)), None):
        return type(found).__name__, found  # the SDK wraps what is raised while a request is sent
    if isinstance(error, CredentialsError) and isinstance(error.__cause__, Exception):
        code, cause = explained(operation, error.__cause__, answer)
        message = str(cause).removeprefix(f"{operation}: ")
        if not message.startswith(_NO_CREDENTIALS):
            message = f"{_NO_CREDENTIALS}: {message}"
        # A caller without credentials has not been refused by the service that was to be called.
        kind = FailureKind.UNEXPECTED if cause.kind.needs_a_person else cause.kind
        return code, AwsError(kind, bounded(message, _LONGEST))
    if isinstance(error, sdk.ClientError):
        return _refused(operation, error, answer)
    if answer is not None and isinstance(error, _UNREADABLE):
        return _unreadable(operation, error, answer)
    kind, message = _kind_of(error)
    if not message.startswith((_UNREACHABLE, _NO_CREDENTIALS)):
        message = f"{operation}: {message}"
    return type(error).__name__, AwsError(kind, bounded(message, _LONGEST))


def _refused(operation: str, error: sdk.ClientError, answer: Answer | None) -> tuple[str, AwsError]:
    """An error response: AWS's own where it has a code, else that of a server in between."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", "no message"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = _KINDS.get(code) or _kind_of_status(status)
    if code in _EXPIRED:
        return code, AwsError(kind, f"the AWS credentials have expired ({code}): sign in again")
    if code in _UNKNOWN:
        return code, AwsError(kind, bounded(f"AWS does not accept the credentials ({code}): {message}", _LONGEST))
    if operation != error.operation_name:  # the request for credentials
        message = f"{message} ({error.operation_name})"
    if not _CODE.fullmatch(code):
        return f"HTTP_{status}", AwsError(kind, bounded(f"{operation}: {answer}: {_NOT_AWS}", _LONGEST))
    is_known = code in _KINDS or (answer is not None and code in answer.codes)
    return (
        code if is_known else f"HTTP_{status}",
        AwsError(kind, bounded(f"{operation}: {code}: {message}", _LONGEST)),
    )


def _kind_of_status(status: int) -> FailureKind:
    if status >= _SERVER_ERRORS:
        return FailureKind.UNAVAILABLE
    return _BY_STATUS.get(status, FailureKind.UNEXPECTED)


def _unreadable(operation: str, error: Exception, answer: Answer) -> tuple[str, AwsError]:
    """What came back is not what the operation answers. The SDK's own words of that would be all of it."""
    is_refusal = answer.status >= _REDIRECTION
    code = f"HTTP_{answer.status}" if is_refusal else type(error).__name__
    lack = f", without {error}" if isinstance(error, KeyError) else ""
    message = f"{operation}: {answer}{lack}: {_NOT_AWS}"
    return code, AwsError(_kind_of_status(answer.status), bounded(message, _LONGEST))


def _kind_of(error: Exception) -> tuple[FailureKind, str]:
    """The kind and the message of an error that no answer caused."""
    causes = list(_causes(error))
    message = _unreachable(causes) or str(error)
    if any(isinstance(one, sdk.NoCredentialsError) for one in causes):
        return FailureKind.UNEXPECTED, f"{_NO_CREDENTIALS}; {_GET_SOME}"
    if any(isinstance(one, sdk.PartialCredentialsError) for one in causes):
        return FailureKind.UNEXPECTED, f"{message}; {_GET_SOME}"
    if any(isinstance(one, sdk.SSOError | sdk.TokenRetrievalError) for one in causes):
        return FailureKind.UNEXPECTED, f"{_NO_CREDENTIALS}: the SSO session has ended: run `aws sso login`"
    if found := next((match for one in causes if (match := _STATUS.search(str(one)))), None):
        return _kind_of_status(int(found[1] or found[2])), message
    if any(isinstance(one, sdk.SSLError) for one in causes):
        return FailureKind.UNEXPECTED, f"{message}: {_NOT_AWS}"
    if any(isinstance(one, _NO_ANSWER) for one in causes):
        return FailureKind.UNAVAILABLE, message
    if large := next((one for one in causes if isinstance(one, TooLargeError)), None):
        return FailureKind.UNEXPECTED, f"{large}: {_NOT_AWS}"
    if isinstance(error, sdk.HTTPClientError):
        return FailureKind.UNEXPECTED, f"{message}: {_NOT_AWS}"
    if isinstance(error, KeyError):
        return FailureKind.UNEXPECTED, f"the answer has no {message}"
    return FailureKind.UNEXPECTED, message or type(error).__name__


def _unreachable(causes: list[BaseException]) -> str | None:
    """What could not be reached and why, where that is the trouble."""
    known: dict[str, Any] = {}
    for one in causes:
        known |= one.kwargs if isinstance(one, sdk.BotoCoreError) else {}
    reason = next((words for one in causes if (words := why_unreachable(one))), None)
    if reason and "proxy_url" in known:
        return f"{_UNREACHABLE}the proxy {known['proxy_url']}: {reason}; see HTTPS_PROXY and NO_PROXY"
    if reason is None or "endpoint_url" not in known:
        return None
    parts = urlsplit(str(known["endpoint_url"]))
    doubt = "; is AWS_REGION right?" if reason == NO_SUCH_HOST and ".amazonaws.com" in parts.netloc else ""
    return f"{_UNREACHABLE}{parts.scheme}://{parts.netloc}: {reason}{doubt}"


def released(failure: AwsError, error: Exception) -> AwsError:
    """`failure`, which was made of `error`, without anything that `error` holds.

    The frames of the SDK hold the whole answer, and some the error that they raised: such a cycle would stay in
    memory until the collector finds it. AWS that fails again and again would fill the memory first.
    """
    forget_locals(error)
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
