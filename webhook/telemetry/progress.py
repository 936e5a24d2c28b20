"""Whether the program's loops make progress: each reports when it begins a step, and how long that may take."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    loop: str
    began: float
    limit: float


class Progress:
    """The steps that are under way. Times are seconds on the event loop's clock.

    A step that fails has ended like any other: a dependency that is down, slow or silent is no lack of progress,
    as long as each call to it has a timeout and a step's limit exceeds all of them together. Waiting for work
    belongs outside a step.
    """

    def __init__(self) -> None:
        self._steps: set[_Step] = set()

    @contextmanager
    def step(self, loop: str, limit: float) -> Iterator[None]:
        """Do a step of `loop` inside the `with`; it hangs once it has lasted longer than `limit` seconds."""
        step = _Step(loop, _now(), limit)
        self._steps.add(step)
        try:
            yield
        finally:
            self._steps.discard(step)

    def hanging(self) -> str | None:
        """The step that is over its limit for longest, as a sentence with the loop's name, or None."""
        now = _now()
        over = [step for step in self._steps if now - step.began > step.limit]
        if not over:
            return None
        worst = max(over, key=lambda step: now - step.began - step.limit)
        seconds = now - worst.began
        return f"the loop {worst.loop} makes no progress: a step lasts {seconds:.0f} s, over {worst.limit:.0f} s"


def _now() -> float:
    return asyncio.get_running_loop().time()
