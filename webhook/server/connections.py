"""What one port gives to clients: its limits, and which connection is closed when there are too many."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.server.protocol import BoundedProtocol

_KIBIBYTE = 1024

_LARGEST_REVIEW = 40 * _KIBIBYTE * _KIBIBYTE
"""Two objects of the 3 MiB that an API server takes, each byte of which it may write as six.

What is larger than can be read still has to be refused as a review: an HTTP error would pass under failurePolicy
Ignore.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds. A request that was begun is over after `head_time` + `body_time`."""

    connections: int
    """Open at once, those in the TLS handshake among them."""
    body: int
    """Of one request."""
    head: int = 32 * _KIBIBYTE
    """All of a request but its body: request line, headers, framing of chunks, trailers."""
    url: int = 8 * _KIBIBYTE
    handshake_time: float = 5.0
    head_time: float = 5.0
    body_time: float = 9.0
    unread_time: float = 5.0
    """For which a client may leave a part of an answer unread."""
    idle_time: float = 120.0
    """For which an idle connection stays open: longer than the API server's 90 s, or reviews fail at random."""


REVIEW_LIMITS = Limits(connections=1024, body=_LARGEST_REVIEW)
"""An API server opens a connection for each review under way, and keeps 25 idle ones."""

PLAIN_LIMITS = Limits(connections=128, body=4 * _KIBIBYTE)
"""Kubelets and Prometheus need a few."""


class Connections:
    """At most `most` connections. A new one is never refused: an old one gives way, or the new one waits.

    One without a whole request gives way, else an idle one. Of these, it is the longest such connection of the
    address that has the most of them. So a flood from one address ends its own connections, not the API server's.
    While all are being answered, a new one waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._unfinished = _ByAddress()
        self._answering: set[BoundedProtocol] = set()
        self._idle = _ByAddress()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._answering) + len(self._idle)

    async def admit(self, connection: BoundedProtocol) -> None:
        """Count a new connection, once there is a place for it."""
        while len(self) >= self._most:
            self._changed.clear()
            if not self.evict_one():
                await self._changed.wait()
        self._unfinished.add(connection)

    def evict_one(self) -> bool:
        """Have one give way; False where none can."""
        victim = self._unfinished.next_to_evict() or self._idle.next_to_evict()
        if victim is None:
            return False
        self.forget(victim)
        victim.evict()
        return True

    def begin(self, connection: BoundedProtocol) -> None:
        """A request has begun to come."""
        self.forget(connection)
        self._unfinished.add(connection)

    def answer(self, connection: BoundedProtocol) -> None:
        """A whole request is there, and its answer is not."""
        self.forget(connection)
        self._answering.add(connection)

    def rest(self, connection: BoundedProtocol) -> None:
        """The answer is there too."""
        self.forget(connection)
        self._idle.add(connection)
        self._changed.set()

    def forget(self, connection: BoundedProtocol) -> None:
        """It is closed."""
        self._unfinished.discard(connection)
        self._answering.discard(connection)
        self._idle.discard(connection)
        self._changed.set()


class _ByAddress:
    """Connections in the order in which they came here, by the address that they come from."""

    def __init__(self) -> None:
        self._addresses: dict[str, OrderedDict[BoundedProtocol, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, connection: BoundedProtocol) -> None:
        """One that is not here yet."""
        self._addresses.setdefault(connection.peer, OrderedDict())[connection] = None
        self._size += 1

    def discard(self, connection: BoundedProtocol) -> None:
        """One that may be here."""
        same = self._addresses.get(connection.peer)
        if same and connection in same:
            del same[connection]
            self._size -= 1
            if not same:
                del self._addresses[connection.peer]

    def next_to_evict(self) -> BoundedProtocol | None:
        """The oldest of the address that has the most; None where there is none."""
        most = max(self._addresses.values(), key=len, default=None)
        return next(iter(most)) if most else None
