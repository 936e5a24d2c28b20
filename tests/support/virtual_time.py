"""An event loop whose clock jumps to the next timer when nothing is ready: hours pass in milliseconds.

Order and times are the same at each run, as far as the code itself is: `random` is seeded, and nothing waits for
the real clock. Threads do not fit in: their work takes real time, of which this loop knows nothing.
"""

from __future__ import annotations

import asyncio
import functools
import random
import selectors
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
P = ParamSpec("P")

_LONGEST_STANDSTILL = 20_000
"""Rounds of the loop within one moment: more of them is a loop that never waits."""

_MOMENT = 1e-3
"""Seconds; a timer that is set again and again for less than a clock can tell is a standstill too."""


class StuckError(RuntimeError):
    """Nothing will ever happen again, or too much happens without time going on."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that starts at 0 seconds and owns its time."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(_JumpingSelector(self._clock))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now


def run(main: Coroutine[Any, Any, T], seed: int = 0) -> T:
    """Run `main` to its end in virtual time; tasks that it leaves behind are cancelled."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a coroutine function a test that owns its time; goes under `@given`."""

    @functools.wraps(test)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs))

    return wrapped


def now() -> float:
    """The running loop's time in seconds."""
    return asyncio.get_running_loop().time()


async def until(moment: float) -> None:
    """Let time pass up to `moment`; at once if it is past."""
    await asyncio.sleep(max(moment - now(), 0))


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock
        self._rounds = 0
        self._moment = 0.0

    def _has_to_ask(self, timeout: float | None) -> bool:
        """Whether a socket may have news: in a simulation only the loop's own, by which threads wake it."""
        return timeout is None or len(self.get_map()) > 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0) if self._has_to_ask(timeout) else []
        if timeout is None and not ready:
            raise StuckError("every task waits for something that nothing is going to do")
        if not ready and timeout is not None:
            self._clock.now += max(timeout, 0.0)
        self._rounds += 1
        if self._clock.now > self._moment + _MOMENT:
            self._rounds, self._moment = 0, self._clock.now
        if self._rounds > _LONGEST_STANDSTILL:
            raise StuckError(f"at {self._clock.now:.3f} s the loop goes round and round without waiting")
        return ready
