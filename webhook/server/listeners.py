"""The two ports: a uvicorn server on each, which accepts no more connections than its limits allow."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from typing import TYPE_CHECKING, cast

import uvicorn

from webhook.model.errors import ConfigurationError
from webhook.runtime.supervision import supervise
from webhook.server.connections import Connections
from webhook.server.protocol import BoundedProtocol
from webhook.telemetry.refusals import note_closing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from webhook.server.connections import Limits

_BACKLOG = 2048

_FILES = 8192
"""More than there are connections, with those to AWS and to the API server."""

_RECEIVED, _SENT = 16 * 1024, 64 * 1024
"""Bytes that the kernel keeps for a connection. TLS keeps buffers as large as what was ever received at once."""

_LAST_ANSWERS = 5
"""Seconds that requests under way have at the very end."""


_AT_ONCE = 64
"""Connections accepted in one turn of the event loop; a handshake takes it a millisecond."""

_PAUSE = 0.05
"""Seconds until the next try where the system has no file or memory for a connection."""


class Listener(uvicorn.Server):
    """One server on one port, within `limits`. Raises ConfigurationError where the port cannot be had.

    `key` is the setting to name then. `tls` is used as it is, and its certificate may change meanwhile. Port 0
    takes a free one: see `port`.
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
        if self.should_exit:
            return
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

        acceptor = _Acceptor(self._socket, self._tls, self._limits, connections, protocol)
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


class _Acceptor:
    """Accepts from construction until `close`. uvicorn closes it as it closes an asyncio server.

    asyncio's own server neither counts the connections in a TLS handshake nor could end one.
    """

    def __init__(
        self,
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        limits: Limits,
        connections: Connections,
        protocol: Callable[[str], BoundedProtocol],
    ) -> None:
        listening.settimeout(0)
        self._listening = listening
        self._tls = tls
        self._limits = limits
        self._connections = connections
        self._protocol = protocol
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(supervise("accept", self._accept))

    def close(self) -> None:
        """Accept no more, and end the handshakes under way."""
        for task in (self._accepting, *self._opening):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more."""
        await asyncio.gather(self._accepting, *self._opening, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except OSError:
                self._connections.evict_one()
                await asyncio.sleep(_PAUSE)
                continue
            await self._admit(accepted, address[0])
            for accepted, address in self._more():
                await self._admit(accepted, address[0])
            await asyncio.sleep(0)

    def _more(self) -> Iterator[tuple[socket.socket, tuple[str, int]]]:
        """Accept more than one in a turn: a flood of requests makes each turn of the loop long."""
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._listening.accept()
            except OSError:
                return
            accepted.settimeout(0)
            yield accepted, address

    async def _admit(self, accepted: socket.socket, peer: str) -> None:
        protocol = self._protocol(peer)
        try:
            await self._connections.admit(protocol)
        except asyncio.CancelledError:
            accepted.close()
            raise
        protocol.opening = asyncio.get_running_loop().create_task(self._open(accepted, protocol))
        self._opening.add(protocol.opening)
        protocol.opening.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, protocol: BoundedProtocol) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._limits.handshake_time,
                ssl_shutdown_timeout=None if self._tls is None else self._limits.unread_time,
            )
        except ConnectionAbortedError:
            note_closing("handshake")
        except OSError:  # a client that is gone, or does not trust the certificate
            pass
        finally:
            if not protocol.is_open:
                protocol.abandon()
                accepted.close()


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
