"""Request bodies in memory, bounded for all requests together."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from webhook.runtime.clock import wait_for

if TYPE_CHECKING:
    from fastapi import Request

LARGEST_BODY = 7 * 1024 * 1024
"""Bytes. The API server takes objects up to 3 MiB, and a review carries two of them."""

SMALL_BODY = 64 * 1024
"""Bytes. Nearly all bodies are smaller; those never wait for larger ones."""

_HEAD = 1024

_ANY = 10_000
"""More waiting bodies than there are connections."""

_LENGTH = re.compile(r"[0-9]{1,18}")


class UnreadBodyError(Exception):
    """A body was not read to its end. `head` is its beginning, as far as it was read."""

    def __init__(self, head: bytes = b"") -> None:
        super().__init__()
        self.head = head


class BodyTooLargeError(UnreadBodyError):
    """A body is larger than LARGEST_BODY."""


class NoRoomError(UnreadBodyError):
    """A body got no room in time, or kept its room for too long while others waited."""


class Room:
    """Room for `size` bytes of bodies that are being read.

    Where room is short, one body is dropped: the one that has been silent for longest, if it is silent for at
    least `patience` seconds. Its reader gets NoRoomError. After `longest_read` seconds a body counts as silent
    whatever arrives. A new body waits for room for at most `longest_wait` seconds, with at most `queue` others.
    """

    def __init__(
        self,
        size: int,
        patience: float,
        longest_read: float = 3.0,
        longest_wait: float = 5.0,
        queue: int = 16,
    ) -> None:
        self._left = size
        self._patience = patience
        self._longest_read = longest_read
        self._longest_wait = longest_wait
        self._queue = queue
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._reading: OrderedDict[asyncio.Timeout, float] = OrderedDict()
        """When bytes of each arrived last."""

    async def read(self, request: Request, size: int) -> bytearray:
        """The body of a request, of `size` bytes at most. Raises BodyTooLargeError and NoRoomError."""
        await self._take(size)
        try:
            reading, body = asyncio.timeout(None), bytearray()
            try:
                async with reading:
                    await self._fill(body, request, size, reading)
            except TimeoutError:
                raise NoRoomError(bytes(body[:_HEAD])) from None
            finally:
                self._reading.pop(reading, None)
            return body
        finally:
            self._left += size
            self._freed.set()

    async def _fill(self, body: bytearray, request: Request, size: int, reading: asyncio.Timeout) -> None:
        time = asyncio.get_running_loop().time
        until = time() + self._longest_read
        self._reading[reading] = time()
        async for chunk in request.stream():
            body += chunk
            if len(body) > size:
                raise BodyTooLargeError(bytes(body[:_HEAD]))
            if reading in self._reading and time() < until:
                self._reading[reading] = time()
                self._reading.move_to_end(reading)

    async def _take(self, size: int) -> None:
        if self._waiting >= self._queue:
            raise NoRoomError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._longest_wait), self._turn:
                while self._left < size:
                    await self._make_room()
                self._left -= size
        except TimeoutError:
            raise NoRoomError from None
        finally:
            self._waiting -= 1

    async def _make_room(self) -> None:
        """Wait until a body is freed, or drop the one that has been silent for longest."""
        self._freed.clear()
        now = asyncio.get_running_loop().time()
        patience = None
        if self._reading:
            oldest, since = next(iter(self._reading.items()))
            patience = since + self._patience - now
            if patience <= 0:
                del self._reading[oldest]
                oldest.reschedule(now)
                patience = None
        await wait_for(self._freed, patience)


class Bodies:
    """Reads bodies. Those up to SMALL_BODY have room of their own."""

    def __init__(self, small: Room | None = None, large: Room | None = None) -> None:
        self._small = small or Room(16 * 1024 * 1024, patience=0, queue=_ANY)
        self._large = large or Room(24 * 1024 * 1024, patience=0.5)

    async def read(self, request: Request) -> bytearray:
        """The body. It no longer counts against the room, so the caller parses it at once and frees it.

        Raises BodyTooLargeError, NoRoomError and ClientDisconnect.
        """
        size = _announced(request)
        if size > LARGEST_BODY:
            raise BodyTooLargeError
        room = self._small if size <= SMALL_BODY else self._large
        return await room.read(request, size)


async def drained(request: Request, head: bytes) -> bytes:
    """Read a body to its end, and return its beginning. `head` was read before; the rest is dropped.

    The rest has to be read, because a client sends the whole body before it reads an answer. Raises
    ClientDisconnect.
    """
    found = bytearray(head)
    with suppress(RuntimeError):  # it has been read to its end
        async for chunk in request.stream():
            found += chunk[: max(_HEAD - len(found), 0)]
    return bytes(found)


def _announced(request: Request) -> int:
    """The most bytes that the body can have: its Content-Length, or all that is allowed."""
    length = request.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else LARGEST_BODY
