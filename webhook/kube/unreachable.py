"""Why a server could not be reached, in a few words: out of the errors that are wrapped in each other."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

import urllib3.exceptions as pool

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_WAY = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTDOWN, errno.ENETDOWN})

NO_SUCH_HOST = "no such host"
"""The name of a server has no address."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
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


def why_unreachable(error: BaseException) -> str | None:
    """Why no answer came from the other side, as the end of a sentence; None where that was not the trouble."""
    return next((words for one in causes(error) if (words := _words(one))), None)


def is_of_proxy(error: BaseException) -> bool:
    """Whether it is the proxy that was not reached."""
    return any(isinstance(one, pool.ProxyError) for one in causes(error))


def _words(error: BaseException) -> str | None:
    match error:
        case pool.NameResolutionError():
            return NO_SUCH_HOST
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
        case OSError() if error.errno in _NO_WAY and error.strerror:
            return error.strerror.lower()
    return None
