"""The open connections of one port, and which of them gives way when there are too many."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


class Connection(Protocol):
    """An open connection, or one that is being opened."""

    @property
    def peer(self) -> Hashable:
        """The address that it comes from."""

    def evict(self) -> None:
        """Close it at once, because a newer one needs its place."""


class Connections:
    """At most `most` connections. A new one is never refused: an old one gives way, or the new one waits.

    First the one that has been without a whole request for the longest time, then the idle one that was used least
    recently, of the address with the most idle ones: so a flood from one address ends its own connections, not the
    API server's. While all of them are being answered, a new one waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._unfinished: OrderedDict[Connection, None] = OrderedDict()
        self._answering: set[Connection] = set()
        self._idle: dict[Hashable, OrderedDict[Connection, None]] = {}
        self._idle_peers: dict[Connection, Hashable] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._answering) + len(self._idle_peers)

    async def admit(self, connection: Connection) -> None:
        """Count a new connection, once there is a place for it."""
        while len(self) >= self._most:
            self._changed.clear()
            if not self.evict_one():
                await self._changed.wait()
        self._unfinished[connection] = None

    def evict_one(self) -> bool:
        """Have one give way; False where none can."""
        victim = next(iter(self._unfinished), None)
        if victim is None and self._idle:
            most_idle = max(self._idle.values(), key=len)
            victim = next(iter(most_idle))
        if victim is None:
            return False
        self.forget(victim)
        victim.evict()
        return True

    def begin(self, connection: Connection) -> None:
        """A request has begun to come."""
        self.forget(connection)
        self._unfinished[connection] = None

    def answer(self, connection: Connection) -> None:
        """A whole request is there, and its answer is not."""
        self.forget(connection)
        self._answering.add(connection)

    def rest(self, connection: Connection) -> None:
        """The answer is there too."""
        self.forget(connection)
        peer = connection.peer
        self._idle_peers[connection] = peer
        self._idle.setdefault(peer, OrderedDict())[connection] = None
        self._changed.set()

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._unfinished.pop(connection, None)
        self._answering.discard(connection)
        if connection in self._idle_peers:
            peer = self._idle_peers.pop(connection)
            del self._idle[peer][connection]
            if not self._idle[peer]:
                del self._idle[peer]
        self._changed.set()
