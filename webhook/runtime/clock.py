"""The one clock of the program's waits, how long they are after failures, and a wait with an end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

Clock = Callable[[], float]
"""Answers seconds that never jump back; only differences mean something. May be asked in any thread."""

_FIRST, _LONGEST = 0.25, 10.0
"""Seconds."""


def loop_clock() -> Clock:
    """The clock that the running event loop's timers go by."""
    return asyncio.get_running_loop().time


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, from 1 on: twice as long each time, less a random part.

    Where AWS throttles, `rate_limiter` also slows down all other calls.
    """
    return min(_FIRST * 2.0 ** min(failures - 1, 10), _LONGEST) * random.uniform(0.75, 1.0)  # noqa: S311


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for `event`, for `seconds` at most, or without end; answers whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
