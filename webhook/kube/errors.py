"""Every outcome of a call to the API server is a value or a ClusterError; answers are read up to a bound."""

from __future__ import annotations

import errno
import re
import ssl
from contextlib import contextmanager
from http.client import HTTPException
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec
import structlog
import urllib3.exceptions as pool
from kubernetes.config import ConfigException
from msgspec import MsgspecError

from webhook.kube.deadlines import DeadlineError
from webhook.kube.objects import StatusObject
from webhook.model.errors import ClusterError, ExpiredError, forget_locals
from webhook.model.text import bounded
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

log = structlog.get_logger(__name__)

MIB = 1024 * 1024

_CHUNK = 65536
_LONGEST_ERROR = 65536
_LONGEST_TEXT = 500
"""Characters of external text, in messages and logs."""

_DENIAL = re.compile(
    r"admission webhook \S+ (denied the request|does not support dry run)"
    r"|ValidatingAdmissionPolicy \S+ (with binding \S+ )?denied request"
)
"""The API server's messages of denials whose status code a webhook or a policy chose.

(k8s.io/apiserver, admission/plugin/webhook/errors/statuserror.go and plugin/policy/validating/dispatcher.go)
"""

_USUAL = (DeadlineError, pool.HTTPError, HTTPException, OSError, ConfigException, MsgspecError, RecursionError)
"""Faults of networks, servers and credentials; RecursionError is JSON that is nested too deeply."""

_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTDOWN, errno.ENETDOWN}


class NotFoundError(ClusterError):
    """There is no such object (404)."""


class ConflictError(ClusterError):
    """The object is not as it was supposed to be (409, or a failed test of a JSON patch, 422)."""


class RefusedError(ClusterError):
    """A rule is against it: RBAC, Pod Security or a quota (403), or a policy or a webhook (with any code)."""


class InvalidError(ConflictError, RefusedError):
    """A failed test of a JSON patch, or an object that a rule calls invalid: both have the code 422."""


class TooLargeError(ClusterError):
    """The answer has more bytes than were allowed; it was not kept."""


def body_of(response: BaseHTTPResponse, what: str, most: int) -> bytes:
    """The whole body. Raises TooLargeError where it has more than `most` bytes, without having kept more."""
    body, is_whole = _read(response, most)
    if not is_whole:
        raise TooLargeError(f"{what}: the answer has more than {most / MIB:g} MiB")
    return body


def error_of(response: BaseHTTPResponse, what: str, address: str) -> ClusterError | None:
    """The error that the answer of `address` is, with the message of its body; None for a success (2xx).

    The API server never redirects: a redirection comes from another server in between.
    """
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004  RFC 9110, section 15
        return None
    body, _ = _read(response, _LONGEST_ERROR)
    message = _message(body)
    if status == 401:  # noqa: PLR2004  RFC 9110, section 15.5.2: it says nothing of the request
        what = f"{address} does not accept the credentials"
    error = _kind(status, message)(f"{what}: {status} {shown(message)}")
    error.status = status
    return error


def _kind(status: int, message: str) -> type[ClusterError]:
    match status:
        case _ if _DENIAL.search(message):
            return RefusedError
        case 422:
            return InvalidError
        case 403:
            return RefusedError
        case 404:
            return NotFoundError
        case 409:
            return ConflictError
        case 410:
            return ExpiredError
        case _:
            return ClusterError


def shown(text: str) -> str:
    """External text as a message shows it."""
    return bounded(text, _LONGEST_TEXT)


def _read(response: BaseHTTPResponse, most: int) -> tuple[bytes, bool]:
    """The body, and whether that is all of it; a connection with a rest in it is closed.

    Nothing is decompressed: no request asks for that, and a small answer may become a very large one.
    """
    body = BytesIO()
    try:
        while chunk := response.read(_CHUNK, decode_content=False):
            if body.tell() + len(chunk) > most:
                response.close()
                return body.getvalue(), False
            body.write(chunk)
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()
    return body.getvalue(), True


def _message(body: bytes) -> str:
    """The message of a Status object, or the start of any other body."""
    try:
        return msgspec.json.decode(body, type=StatusObject).message or _start(body)
    except (ValueError, RecursionError):
        return _start(body)


def _start(body: bytes) -> str:
    return body[:_LONGEST_TEXT].decode(errors="replace")


@contextmanager
def every_outcome(what: str, address: str = "") -> Iterator[None]:
    """Raise a ClusterError for whatever is raised; `address` is the server that is asked, where one is.

    What is not usual is a bug of this program or of a library: it is logged with its traceback, and counted.
    """
    try:
        yield
    except ClusterError:
        raise
    except _USUAL as error:
        if address and (reason := _why_unreachable(error)):
            is_of_proxy = any(isinstance(one, pool.ProxyError) for one in _causes(error))
            way = " through its proxy" if is_of_proxy else ""
            raise ClusterError(f"cannot reach {address}{way}: {shown(reason)}") from error
        raise ClusterError(f"{what}: {shown(str(error) or type(error).__name__)}") from error
    except Exception as error:
        log.exception("kubernetes_failed", call=what)
        metrics.unexpected_errors.labels("kubernetes").inc()
        raise ClusterError(f"{what}: {shown(repr(error))}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of, however they are held."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop(0)
        if one is None or one in seen:
            continue
        seen.append(one)
        yield one
        held = (one.__cause__ or one.__context__, getattr(one, "original_error", None), *one.args)
        left += [inner for inner in held if isinstance(inner, BaseException)]


def _why_unreachable(error: BaseException) -> str | None:
    """Why no answer came from the other side, as the end of a sentence; None where that was not the trouble."""
    return next((words for one in _causes(error) if (words := _words(one))), None)


def _words(error: BaseException) -> str | None:
    match error:
        case pool.NameResolutionError():
            return "no such host"
        case pool.NewConnectionError():
            return None  # its cause has the words; it is a ConnectTimeoutError too
        case pool.ConnectTimeoutError():
            return "timed out"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
        case ssl.SSLError() if error.reason:
            return f"TLS failed: {error.reason.replace('_', ' ').lower()}"
        case ConnectionError() if error.strerror:
            return error.strerror.lower()
        case ConnectionError():
            return "it closed the connection without an answer"
        case OSError() if error.errno in _NO_ROUTE and error.strerror:
            return error.strerror.lower()
    return None


@contextmanager
def whole_call(what: str) -> Iterator[None]:
    """The same for a thread's outermost call: it counts the error by its code, and frees what was read.

    NotFoundError and ConflictError are answers, and are not counted.
    """
    try:
        with every_outcome(what):
            yield
    except ClusterError as error:
        forget_locals(error)
        if not isinstance(error, NotFoundError | ConflictError):
            metrics.kubernetes_failures.labels(_code(error)).inc()
        raise


def _code(error: ClusterError) -> str:
    """The HTTP status, or the name of what was raised instead of an answer: one of a bounded number."""
    return f"HTTP_{error.status}" if error.status else type(error.__cause__ or error).__name__
