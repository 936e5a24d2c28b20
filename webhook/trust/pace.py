"""How fast AWS is asked: so many calls a second, so many at once, and slower for a while after it said no."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Pace:
    """Lets callers through at `rate` a second, `burst` of them at once after a rest, and `parallel` at a time.

    First come, first served. Times are seconds on the event loop's clock.
    """

    def __init__(self, rate: float, burst: int, parallel: int) -> None:
        self._rate = rate
        self._burst = burst
        self._slots = asyncio.Semaphore(parallel)
        self._next = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the `async with`."""
        async with self._slots:
            now = asyncio.get_running_loop().time()
            self._next = max(self._next, now - self._burst / self._rate) + 1 / self._rate
            await asyncio.sleep(max(self._next - now, 0))
            yield

    def rest(self, seconds: float) -> None:
        """Let nobody through for so long: AWS has said that it is too much."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now + seconds)
