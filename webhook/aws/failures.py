"""What an exception during a call of AWS means: a kind for the program, words for a person, a code for metrics.

A code that is not in `_KINDS` is judged by its HTTP status. An answer that is not AWS's, or a fault that does not
pass by itself, is UNEXPECTED. Where no answer came, what the SDK raised and how far the request came show why.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from webhook.aws.clients import CredentialsError
from webhook.aws.exchange import TooLargeError
from webhook.model.aws_errors import NOT_AWS, AwsError, Cause, FailureKind, Unreachable
from webhook.model.errors import forget_locals
from webhook.model.text import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webhook.aws.exchange import Answer, Exchange

_LONGEST = 400
"""Characters of a message."""

_LONGEST_DETAIL = 100
"""Characters of what the system or a proxy says."""

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
    "NotFoundException": FailureKind.NOT_FOUND,
    "ResourceInUseException": FailureKind.IN_USE,
    "ResourceLimitExceededException": FailureKind.FULL,
    # EKS's answer for a role that it does not know or may not assume yet, as after a write seconds ago.
    "InvalidParameterException": FailureKind.ROLE_NOT_ACCEPTED,
    "InvalidRequestException": FailureKind.MALFORMED,
}
"""What each error code of AWS means. `FailureKind` says which kinds are tried again; UNAVAILABLE is, and soon."""

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

_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}

# How http.client words a proxy's answer to CONNECT.
_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: ((\d)\d\d[\w -]*)")

# The same, and how the SDK words the agent's answer to a request for credentials.
_STATUS = re.compile(r"Tunnel connection failed: (\d{3})|Received non 200 response (\d{3})")

_NOT_SENDABLE = "Invalid header value"
"""How http.client begins to say so."""

_NO_CREDENTIALS = "no AWS credentials"
_GET_SOME = "set AWS_PROFILE or run `aws configure`; a pod has a role by its ServiceAccount"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})
_NOT_AWS = f"not AWS's answer; {NOT_AWS}"


def explained(operation: str, error: Exception, exchange: Exchange) -> tuple[str, AwsError]:
    """The code for metrics, one of a bounded number, and the error to raise for what `exchange` came to."""
    if found := next((one for one in _causes(error) if isinstance(one, AwsError)), None):
        return type(found).__name__, found  # the SDK wraps what is raised while a request is sent
    if isinstance(error, CredentialsError) and isinstance(error.__cause__, Exception):
        code, cause = explained(operation, error.__cause__, exchange)
        message = str(cause).removeprefix(f"{operation}: ")
        if not message.startswith(_NO_CREDENTIALS):
            message = f"{_NO_CREDENTIALS}: {message}"
        # A caller without credentials has not been refused by the service that was to be called.
        kind = FailureKind.UNEXPECTED if cause.kind.needs_a_person else cause.kind
        return code, AwsError(kind, bounded(message, _LONGEST), cause.unreachable)
    if isinstance(error, sdk.ClientError):
        return _refused(operation, error, exchange)
    if exchange.answer is not None and isinstance(error, _UNREADABLE):
        return _unreadable(operation, error, exchange, exchange.answer)
    kind, message, unreached = _kind_of(error, exchange)
    if not unreached and not message.startswith(_NO_CREDENTIALS):
        message = f"{operation}: {message}"
    return type(error).__name__, AwsError(kind, bounded(message, _LONGEST), unreached)


def _refused(operation: str, error: sdk.ClientError, exchange: Exchange) -> tuple[str, AwsError]:
    """An error response: AWS's own where it has a code, else that of a server in between."""
    details, answer = error.response.get("Error", {}), exchange.answer
    code, message = str(details.get("Code", "")), str(details.get("Message", "no message"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = _KINDS.get(code) or _kind_of_status(status)
    if code in _EXPIRED:
        return code, AwsError(kind, f"the AWS credentials have expired ({code}): renew them")
    if code in _UNKNOWN:
        first, _, _ = message.partition("\n")  # the request follows, and with it a session's token
        return code, AwsError(kind, bounded(f"AWS does not accept the credentials ({code}): {first}", _LONGEST))
    if operation != error.operation_name:  # the request for credentials
        message = f"{message} ({error.operation_name})"
    if not _CODE.fullmatch(code):
        return f"HTTP_{status}", _not_aws(operation, kind, exchange, str(answer))
    is_known = code in _KINDS or (answer is not None and code in answer.codes)
    return (
        code if is_known else f"HTTP_{status}",
        AwsError(kind, bounded(f"{operation}: {code}: {message}", _LONGEST), code=code),
    )


def _kind_of_status(status: int) -> FailureKind:
    if status >= _SERVER_ERRORS:
        return FailureKind.UNAVAILABLE
    return _BY_STATUS.get(status, FailureKind.UNEXPECTED)


def _unreadable(operation: str, error: Exception, exchange: Exchange, answer: Answer) -> tuple[str, AwsError]:
    """What came back is not what the operation answers. The SDK's own words of that would be all of it."""
    is_refusal = answer.status >= _REDIRECTION
    code = f"HTTP_{answer.status}" if is_refusal else type(error).__name__
    lack = f", without {error}" if isinstance(error, KeyError) else ""
    return code, _not_aws(operation, _kind_of_status(answer.status), exchange, f"{answer}{lack}")


def _not_aws(operation: str, kind: FailureKind, exchange: Exchange, what: str) -> AwsError:
    """The error for an answer of another server; one that is busy may be AWS's own that shares the load."""
    unreached = None
    if kind is FailureKind.UNEXPECTED and exchange.endpoint and exchange.endpoint.service not in exchange.answered:
        unreached = Unreachable(exchange.endpoint, Cause.NOT_AWS, bounded(what, 200))
    return AwsError(kind, bounded(f"{operation}: {what}: {_NOT_AWS}", _LONGEST), unreached)


def _kind_of(error: Exception, exchange: Exchange) -> tuple[FailureKind, str, Unreachable | None]:
    """The kind and the message of an error that no answer caused, and what cannot be reached, if that is it."""
    causes, message = list(_causes(error)), str(error)
    unreached = _unreachable(causes, exchange)
    if unreached:
        message = str(unreached)
    elif exchange.endpoint and isinstance(error, sdk.ReadTimeoutError):
        message = f"no answer from {exchange.endpoint}: timed out"
    if lack := next((words for one in causes if (words := _lack_of_credentials(one))), None):
        return FailureKind.UNEXPECTED, lack, None
    if found := next((match for one in causes if (match := _STATUS.search(str(one)))), None):
        return _kind_of_status(int(found[1] or found[2])), message, unreached
    if any(isinstance(one, sdk.SSLError) for one in causes):
        return FailureKind.UNEXPECTED, message, unreached
    if any(isinstance(one, _NO_ANSWER) for one in causes):
        return FailureKind.UNAVAILABLE, message, unreached
    if large := next((one for one in causes if isinstance(one, TooLargeError)), None):
        return FailureKind.UNEXPECTED, f"{large}: {_NOT_AWS}", None
    if isinstance(error, sdk.HTTPClientError):
        return FailureKind.UNEXPECTED, f"{message}: {_NOT_AWS}", None
    if isinstance(error, KeyError):
        return FailureKind.UNEXPECTED, f"the answer has no {message}", None
    return FailureKind.UNEXPECTED, message or type(error).__name__, None


def _unreachable(causes: Sequence[BaseException], exchange: Exchange) -> Unreachable | None:
    """What kept the last request of `exchange` from its endpoint; None where it was sent, or is no service's."""
    if exchange.endpoint is None or exchange.is_sent:
        return None
    cause = _obstacle(causes)
    if cause is None:
        return None
    proxies = (one.kwargs["proxy_url"] for one in causes if isinstance(one, sdk.ProxyConnectionError))
    return Unreachable(
        exchange.endpoint, cause[0], bounded(cause[1], _LONGEST_DETAIL), next(map(_host, proxies), "")
    )


def _obstacle(causes: Sequence[BaseException]) -> tuple[Cause, str] | None:
    if tunnel := next((found for one in causes if (found := _REFUSED_TUNNEL.search(str(one)))), None):
        return Cause.PROXY_FAILED if tunnel[2] == "5" else Cause.DENIED_BY_PROXY, f"it answers {tunnel[1]}"
    for error in causes:
        match error:
            case ssl.SSLCertVerificationError():
                return Cause.NOT_TRUSTED, f"its TLS certificate is not trusted ({error.verify_message})"
            case ssl.SSLError():
                return Cause.TLS_FAILED, f"the TLS handshake failed ({error.reason})"
            case socket.gaierror():
                return Cause.NAME_NOT_FOUND, f"name not found ({error.strerror})"
            case ConnectionRefusedError():
                return Cause.REFUSED, "connection refused"
            case sdk.ConnectTimeoutError() | sdk.ReadTimeoutError() | TimeoutError():
                return Cause.TIMED_OUT, "timed out"
            case sdk.ConnectionClosedError():
                return Cause.CLOSED, "connection closed in the TLS handshake"
            case OSError() if error.errno in _NO_ROUTE:
                return Cause.NO_ROUTE, f"no route ({error.strerror})"
    return None


def _host(url: str) -> str:
    """Host and port; a name and a password in front of them are not for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _lack_of_credentials(error: BaseException) -> str | None:
    """What a person whom the SDK has no credentials for can do; None for another error."""
    match error:
        case sdk.NoCredentialsError():
            return f"{_NO_CREDENTIALS}; {_GET_SOME}"
        case sdk.PartialCredentialsError():
            return f"{_NO_CREDENTIALS}: {error}; {_GET_SOME}"
        case sdk.SSOError() | sdk.TokenRetrievalError():
            return f"{_NO_CREDENTIALS}: the SSO session has ended: run `aws sso login`"
        case ValueError() if str(error).startswith(_NOT_SENDABLE):  # it has the value: a session's token, perhaps
            return f"{_NO_CREDENTIALS} that can be sent: they hold a line break or the like; {_GET_SOME}"
    return None


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
