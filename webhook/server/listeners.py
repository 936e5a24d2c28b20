"""The two uvicorn servers in one event loop. Signals are the program's business, not theirs."""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import TYPE_CHECKING, cast

import uvicorn

from webhook.config.errors import ConfigurationError
from webhook.server.accepting import Acceptor
from webhook.server.connections import Connections
from webhook.server.protocol import BoundedProtocol

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from webhook.server.limits import Limits

_BACKLOG = 2048

_FILES = 8192
"""More than there are connections, with those to AWS and to the API server."""

_RECEIVED, _SENT = 16 * 1024, 64 * 1024
"""Bytes that the kernel keeps for a connection. TLS keeps buffers as large as what was ever received at once."""

_LAST_ANSWERS = 5
"""Seconds that requests under way have at the very end."""


class Listener(uvicorn.Server):
    """One server on one port, within `limits`. Raises ConfigurationError where the port cannot be had.

    `key` is the setting to name then. `tls` is used as it is, and its certificate may change meanwhile. Port 0
    takes a free one; `port` says which.
    """

    def __init__(
        self,
        application: ASGIApp,
        address: tuple[str, int],
        key: str,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                ws="none",
                timeout_keep_alive=limits.idle_time,  # type: ignore[arg-type]  # it takes fractions too
                timeout_graceful_shutdown=_LAST_ANSWERS,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
            )
        )
        self._limits = limits
        self._tls = tls
        host, port = address
        try:
            self._socket = _listening_socket(host, port)
        except OSError as error:
            shown = f"[{host}]" if ":" in host else host
            raise ConfigurationError(f"{key}: cannot listen on {shown}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    async def listen(self) -> None:
        """Serve until stopped; then answer what is under way. May be called again where it has raised."""
        self.started = False
        try:
            await self.serve(sockets=[self._socket.dup()])  # the port stays open where this raises
        finally:
            self._accept_no_more()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Accept connections within the limits, instead of with uvicorn's own server, which has none."""
        connections = Connections(min(self._limits.connections, _open_files() // 2))

        def protocol(peer: str) -> BoundedProtocol:
            return BoundedProtocol(self.config, self.server_state, self._limits, connections, peer)

        acceptor = Acceptor(self._socket, self._tls, self._limits, connections, protocol)
        self.servers = cast("list[asyncio.Server]", [acceptor])
        self.started = True

    def stop(self) -> None:
        """Close the port, answer what is under way, and have `listen` return."""
        self._accept_no_more()
        self._socket.close()
        self.should_exit = True

    def _accept_no_more(self) -> None:
        if self.started:
            for server in self.servers:
                server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _open_files() -> int:
    """How many files this process may open, after asking for enough: some systems allow 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _FILES if soft == resource.RLIM_INFINITY else soft


def _listening_socket(host: str, port: int) -> socket.socket:
    """A listening socket on whose connections no answer waits for an acknowledgement (Nagle's algorithm).

    On an IPv6 address it takes clients of both families, whatever the system's default. `::` is every IPv4 address
    where the kernel has no IPv6.
    """
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104  a pod is reached at its own address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
