"""Taking connections from a listening socket, no more than its port may have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.runtime.supervision import supervise
from webhook.telemetry.refusals import note_closing

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from webhook.server.connections import Connections
    from webhook.server.limits import Limits
    from webhook.server.protocol import BoundedProtocol

_AT_ONCE = 64
"""Connections accepted in one turn of the event loop; a handshake takes it a millisecond."""

_PAUSE = 0.05
"""Seconds until the next try where the system has no file or memory for a connection."""


class Acceptor:
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
            for accepted, address in self._others_that_wait():
                await self._admit(accepted, address[0])
            await asyncio.sleep(0)

    def _others_that_wait(self) -> Iterator[tuple[socket.socket, tuple[str, int]]]:
        """Else a flood of requests, which makes each turn of the loop long, would let in one connection a turn."""
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
