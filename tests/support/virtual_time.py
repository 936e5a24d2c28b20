"""An event loop whose clock jumps to the next timer when nothing is ready: hours pass in milliseconds.

Order and times are the same at each run, as far as the code itself is: `random` is seeded, and nothing waits for
the real clock. Threads do not fit in: their work takes real time, of which this loop knows nothing.
"""
# ruff: noqa: SLF001  a round of the loop has to know what asyncio's knows

from __future__ import annotations

import asyncio
import functools
import heapq
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


_MANY_TIMERS = 100
"""Where half of so many timers are cancelled, asyncio drops them all at once."""


class StuckError(RuntimeError):
    """Nothing will ever happen again, or too much happens without time going on."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that starts at 0 seconds and owns its time."""

    def __init__(self) -> None:
        self._clock = _Clock()
        selector = _JumpingSelector(self._clock)
        self._files = selector.get_map()
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now

    def take(self, step: asyncio.Handle) -> None:
        """Take a step whose turn has come; a loop that holds some back has its own."""
        step._run()

    def _run_once(self) -> None:
        """One round: the same steps in the same order as asyncio's, at half the price.

        Most rounds of a simulation have one step, so what surrounds it is most of what it costs. Asyncio's own is
        for those who wait for a file or a thread.
        """
        mine = vars(self)
        ready, timers = mine["_ready"], _without_cancelled(mine)
        if len(self._files) > 1 or not (ready or timers):
            super()._run_once()  # type: ignore[misc]  # there is no public way
            return
        clock = self._clock
        clock.pass_by(0.0 if ready or mine["_stopping"] else max(timers[0]._when - clock.now, 0.0))
        now = clock.now + mine["_clock_resolution"]
        while timers and timers[0]._when < now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            step = ready.popleft()
            if not step._cancelled:
                self.take(step)


def _without_cancelled(loop: dict[str, Any]) -> list[Any]:
    """The loop's timers, of which the first is not cancelled, and half of many."""
    timers: list[Any] = loop["_scheduled"]
    if len(timers) > _MANY_TIMERS and 2 * loop["_timer_cancelled_count"] > len(timers):
        for timer in timers:
            timer._scheduled = not timer._cancelled
        timers = loop["_scheduled"] = [timer for timer in timers if not timer._cancelled]
        heapq.heapify(timers)
        loop["_timer_cancelled_count"] = 0
    while timers and timers[0]._cancelled:
        loop["_timer_cancelled_count"] -= 1
        heapq.heappop(timers)._scheduled = False
    return timers


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
        self._rounds = 0
        self._moment = 0.0

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass. Raises StuckError where there were too many rounds without any."""
        self.now += seconds
        self._rounds += 1
        if self.now > self._moment + _MOMENT:
            self._rounds, self._moment = 0, self.now
        elif self._rounds > _LONGEST_STANDSTILL:
            raise StuckError(f"at {self.now:.3f} s the loop goes round and round without waiting")


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout is None and not ready:
            raise StuckError("every task waits for something that nothing is going to do")
        self._clock.pass_by(0.0 if ready or timeout is None else max(timeout, 0.0))
        return ready
