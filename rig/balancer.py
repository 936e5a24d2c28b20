"""A TCP balancer in front of a webhook's replicas, in the place of a Service: the rig has no pod network.

New connections go to the backends in turn; one that refuses is passed over. Connections that are open stay
with their backend until either side closes, as with kube-proxy.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar, cast

import uvloop

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
CALL_TIMEOUT_S = 10.0
BACKLOG = 1024


class Balancer:
    """Forwards a loopback port to backends, in a thread with a loop of its own; a context manager.

    Backends are ports on 127.0.0.1. Once entered, `port` is where it listens. All methods may be called from
    any thread and take effect before they return.
    """

    def __init__(self, *backends: int) -> None:
        self.port = 0
        self._backends = list(backends)
        self._turn = 0
        self._links: set[_Link] = set()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def backends(self) -> list[int]:
        """The ports that new connections go to."""
        return self._call(_value(lambda: list(self._backends)))

    def add(self, port: int) -> None:
        """Send new connections to this port as well."""
        self._call(_value(lambda: None if port in self._backends else self._backends.append(port)))

    def remove(self, port: int) -> None:
        """Send no new connection to this port; those that are open stay. Nothing happens if it is not there."""

        def drop() -> None:
            self._backends = [backend for backend in self._backends if backend != port]

        self._call(_value(drop))

    def connections(self) -> dict[int, int]:
        """Return how many connections are open to each backend that has any."""
        return self._call(_value(lambda: dict(Counter(link.port for link in self._links if link.port))))

    def cut(self) -> None:
        """Cut every open connection."""

        def abort() -> None:
            for link in list(self._links):
                link.abort()

        self._call(_value(abort))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self._server = await self._loop.create_server(self._accepted, sock=listener, backlog=BACKLOG)

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.abort()
        while self._links:  # noqa: ASYNC110 - one turn of the loop is all that they need
            await asyncio.sleep(0)

    def _accepted(self) -> "_End":
        return _Link(self._links, self._candidates).client

    def _candidates(self) -> list[int]:
        """Return the backends in the order in which to try them; each call starts with the next one."""
        if not self._backends:
            return []
        self._turn = (self._turn + 1) % len(self._backends)
        return self._backends[self._turn :] + self._backends[: self._turn]


class _End(asyncio.Protocol):
    """One end of a link: what arrives here goes out at the other, no faster than that takes it."""

    def __init__(self, link: "_Link") -> None:
        self.link = link
        self.other: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connect(self, other: asyncio.Transport) -> None:
        """Send what arrives here, and what has arrived already, to the other end."""
        self.other = other
        for data in self._early:
            other.write(data)
        if self.transport and self._early:
            self.transport.resume_reading()
        self._early.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, but no subclass
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        if self.other:
            self.other.write(data)
        elif self.transport:
            self._early.append(data)
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        if self.other:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other:
            self.other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.link.lost(self)


class _Link:
    """A client's connection and the backend's that serves it. When one closes, so does the other."""

    def __init__(self, links: set["_Link"], candidates: Callable[[], list[int]]) -> None:
        self.port = 0
        self.client = _End(self)
        self.backend = _End(self)
        self._links = links
        self._candidates = candidates
        self._connecting: asyncio.Task[None] | None = None

    def made(self, end: _End) -> None:
        if end is self.client:
            self._links.add(self)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif self.client.transport and end.transport:
            self.backend.connect(self.client.transport)
            self.client.connect(end.transport)

    def lost(self, end: _End) -> None:
        if end is self.client:
            self._links.discard(self)
            if self._connecting:
                self._connecting.cancel()
        other = self.backend if end is self.client else self.client
        if other.transport:
            other.transport.close()  # after what is still to be written

    def abort(self) -> None:
        if self.client.transport:
            self.client.transport.abort()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for port in self._candidates():
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await loop.create_connection(lambda: self.backend, "127.0.0.1", port)
                self.port = port
                return
        self.abort()


async def _value(compute: Callable[[], T]) -> T:
    return compute()
