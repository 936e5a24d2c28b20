"""A limit on the rate of calls to AWS: what AWS admits is not published, so calls find it out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import AwsError, FailureKind
from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

log = structlog.get_logger(__name__)

FLOOR = 1.0
"""The least turns a second: a caller that is throttled even so has a backoff of its own."""

GAIN = 2.5
"""Turns a second by which the rate rises each second while AWS admits all of them.

It rises gently, because success proves little. While the rate is low, AWS's bucket fills, and AWS then admits more
for a while than it does for long.
"""


class RateLimiter:
    """Gives turns to call one service of one account: first come, first served, `parallel` at a time.

    `rate` is turns a second to begin with. A throttled turn halves it; turns that succeed while more are wanted
    than it gives raise it, up to `ceiling`. After a rest the turns of one second begin at once, one at least.
    """

    def __init__(self, service: str, rate: float, ceiling: float, parallel: int = 1) -> None:
        self._service = service
        self._clock = loop_clock()
        self.rate = rate
        self._ceiling = ceiling
        self._slots = asyncio.Semaphore(parallel)
        self._queue = asyncio.Lock()
        self._next = float("-inf")
        self._lowered = float("-inf")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the `async with`."""
        async with self._slots:
            async with self._queue:
                await asyncio.sleep(self.reserve() - self._clock())
            with self.heed():
                yield

    def reserve(self) -> float:
        """Take the next turn; answers when it begins, which may be past."""
        begins = max(self._next, self._clock() - (1 - 1 / self.rate))
        self._next = begins + 1 / self.rate
        return begins

    @contextmanager
    def heed(self) -> Iterator[None]:
        """Have what AWS answers inside the `with`, in a turn, set the rate."""
        began = self._clock()
        try:
            yield
        except AwsError as error:
            if error.kind is FailureKind.THROTTLED and began >= self._lowered:
                self._lower()
            raise
        if self._next > self._clock():
            self.rate = min(self.rate + GAIN / self.rate, self._ceiling)

    def _lower(self) -> None:
        """Once for all turns under way: they all meet the same."""
        self.rate = max(self.rate / 2, FLOOR)
        self._lowered = self._clock()
        self._next = max(self._next, self._lowered + 1 / self.rate)
        log.info("aws_throttles", service=self._service, turns_per_second=round(self.rate, 1))
