"""Why a request never got an answer of AWS: read from what the SDK raised, and from how far the request came."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore import exceptions as sdk

from webhook.model.endpoints import Cause, Unreachable
from webhook.model.text import bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.aws.exchange import Exchange

_LONGEST = 100
"""Characters of what the system or a proxy says."""

_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}

# How http.client words a proxy's answer to CONNECT.
_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: ((\d)\d\d[\w -]*)")


def unreachable(causes: Sequence[BaseException], exchange: Exchange) -> Unreachable | None:
    """What kept the last request of `exchange` from its endpoint; None where it was sent, or is no service's.

    `causes` are the error and those that it came of.
    """
    if exchange.endpoint is None or exchange.is_sent:
        return None
    cause = _cause(causes)
    if cause is None:
        return None
    proxies = (one.kwargs["proxy_url"] for one in causes if isinstance(one, sdk.ProxyConnectionError))
    return Unreachable(exchange.endpoint, cause[0], bounded(cause[1], _LONGEST), next(map(_host, proxies), ""))


def _cause(causes: Sequence[BaseException]) -> tuple[Cause, str] | None:
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
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]
