"""Processes inside one event loop, which can be stopped, killed and have their clock jump, between any two steps.

A step is one callback of the loop. Everything that a process starts carries the process in its context, so the
loop knows whose step comes next: a stopped process's steps wait, a dead one's never come, and no `finally` runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from webhook.model.names import RoleArn, Subject

T = TypeVar("T")

_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
WORLD = contextvars.Context()
"""The context of what belongs to no process: servers, networks, people."""


class Process:
    """One program: running, stopped (as by SIGSTOP), or dead (as by SIGKILL)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock_ahead = 0.0
        self.wall_clock_ahead = 0.0
        self.last_seen: dict[RoleArn, frozenset[Subject]] = {}
        """Whom our statement in each role trusts, as this process last read or wrote it."""
        self.dead = False
        self.died_at = float("inf")
        self._stopped = False
        self._held_back: list[asyncio.Handle] = []
        self._steps = 0
        self._ambushes: list[tuple[int, Callable[[], None]]] = []
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` as this process."""
        return self._context.copy().run(function)

    def start(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task of this process."""
        return _loop().create_task(coroutine, name=name, context=self._context.copy())

    def after_steps(self, steps: int, action: Callable[[], None]) -> None:
        """Have `action` happen right before the step that comes after so many more."""
        self._ambushes.append((self._steps + steps, action))

    def stop(self, seconds: float) -> None:
        """Stand still for `seconds` while the world goes on."""
        if not self.dead:
            self._stopped = True
            _loop().call_later(seconds, self._go_on, context=WORLD)

    def kill(self) -> None:
        """Take no further step."""
        self.dead = True
        self.died_at = min(self.died_at, _loop().world_time)  # a fault may kill it again

    def jump(self, seconds: float) -> None:
        """Have the clock jump ahead: every timer that is due by then is due at once."""
        self.clock_ahead += seconds
        _loop().hasten(self, seconds)

    def bury(self) -> None:
        """Let all steps come that were held back, so that tasks can be cancelled when the world has ended."""
        self.dead = False
        self._ambushes.clear()
        self._go_on()

    def lets(self, handle: asyncio.Handle) -> bool:
        """Whether a step may be taken now; if not, it is kept."""
        self._steps += 1
        if self._ambushes:
            self._fall_into_ambushes()
        if self._stopped or self.dead:
            self._held_back.append(handle)
            return False
        return True

    def _fall_into_ambushes(self) -> None:
        due = [ambush for ambush in self._ambushes if ambush[0] < self._steps]
        for ambush in due:
            self._ambushes.remove(ambush)
            ambush[1]()

    def _go_on(self) -> None:
        if not self.dead:
            self._stopped = False
            _loop().run_soon(self._held_back)
            self._held_back = []


class ProcessLoop(VirtualTimeLoop):
    """Virtual time, in which each process has its own clock."""

    def time(self) -> float:
        """Seconds by the clock of the process that asks; the world's own outside of all."""
        process = _PROCESS.get()
        return self._clock.now + (process.clock_ahead if process else 0.0)

    @property
    def world_time(self) -> float:
        """Seconds by the world's own clock, whoever asks."""
        return self._clock.now

    def take(self, step: asyncio.Handle) -> None:
        """Take a step, if its process lets it."""
        process = _process_of(step)
        if process is None or process.lets(step):
            super().take(step)

    def call_at(  # type: ignore[override]  # its types name every argument of the callback
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio has it; `when` is by the caller's clock."""
        process = _PROCESS.get()
        when -= process.clock_ahead if process else 0.0
        return super().call_at(when, callback, *args, context=context)

    def hasten(self, process: Process, seconds: float) -> None:
        """Have every timer of a process come so much earlier."""
        timers = vars(self)["_scheduled"]
        for timer in timers:
            if _process_of(timer) is process:
                _move_earlier(timer, seconds)
        heapq.heapify(timers)

    def run_soon(self, handles: list[asyncio.Handle]) -> None:
        """Have steps that were held back come next."""
        vars(self)["_ready"].extend(handles)


def _process_of(handle: asyncio.Handle) -> Process | None:
    """Whose step a handle is."""
    context: contextvars.Context = handle._context  # type: ignore[attr-defined]  # noqa: SLF001  get_context is 3.12's
    return context.get(_PROCESS)


def _move_earlier(timer: asyncio.TimerHandle, seconds: float) -> None:
    """Move a timer; the caller restores the heap."""
    timer._when -= seconds  # type: ignore[attr-defined]  # noqa: SLF001  there is no public way


def _loop() -> ProcessLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ProcessLoop)
    return loop
