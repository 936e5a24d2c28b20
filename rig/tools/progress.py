"""Telling a person what is being built and for how long: live on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from rig.tools.catalogue import Tool

STILL_S = 30.0
WAITING = "another build is running{holder}: waiting for it"
FIRST_TIME = (
    "building {count} of the rig's binaries from source, once: {left} on 2 idle cores,\n"
    "up to 7 GB of disk while it lasts, 550 MB afterwards"
)


def in_words(seconds: float) -> str:
    """Say about how long that is, such as "about 6 min"."""
    return f"about {math.ceil(seconds / 60)} min" if seconds > 60 else "less than a minute"  # noqa: PLR2004  a minute


def first_time(tools: Sequence[Tool]) -> str:
    """Say what is built and about how long that takes."""
    return FIRST_TIME.format(count=len(tools), left=in_words(sum(tool.usual_s for tool in tools)))


class Estimate:
    """How long the builds that are left take: their usual times, at the speed of this machine so far."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._left = {tool.name: tool.usual_s for tool in tools}
        self._usual_s = self._taken_s = 0.0
        self._current: tuple[str, float] | None = None

    def start(self, name: str, now: float) -> None:
        """Take note that this build starts."""
        self._current = name, now

    def end(self, name: str, seconds: float) -> None:
        """Take note that this build is done."""
        self._usual_s += self._left.pop(name)
        self._taken_s += seconds
        self._current = None

    def left(self, now: float) -> float:
        """Return the seconds that are left; a build that takes longer than usual makes those after it longer."""
        speed = self._taken_s / self._usual_s if self._usual_s else 1.0
        running = 0.0
        if self._current:
            name, began = self._current
            running = now - began
            speed = max(speed, running / self._left[name])
        return max(sum(self._left.values()) * speed - running, 0.0)


class Progress(Protocol):
    """What a build reports."""

    def begin(self, tools: Sequence[Tool]) -> None:
        """Take note of what is going to be built."""

    def waiting(self, holder: str) -> None:
        """Say that another process is building; its id may be ""."""

    def note(self, text: str) -> None:
        """Say what else is being done."""

    def building(self, name: str) -> None:
        """Say that a build starts."""

    def tick(self) -> None:
        """Show that the build goes on; called often."""

    def built(self, name: str, seconds: float) -> None:
        """Say that a build is done."""


class PlainProgress:
    """One line for each start and end, and one every 30 s in between, with the time that is left."""

    def __init__(self) -> None:
        self._count = self._done = 0
        self._name = ""
        self._started = self._next = 0.0
        self._estimate = Estimate([])

    def begin(self, tools: Sequence[Tool]) -> None:
        """Print how many there are and how long they usually take."""
        self._count = len(tools)
        self._estimate = Estimate(tools)
        self.note(first_time(tools))

    def waiting(self, holder: str) -> None:
        """Print whom this waits for."""
        self.note(WAITING.format(holder=f" (process {holder})" if holder else ""))

    def note(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def building(self, name: str) -> None:
        """Print the name and how many are done."""
        self._name = name
        self._started = time.monotonic()
        self._next = self._started + STILL_S
        self._estimate.start(name, self._started)
        self.note(f"building {name} ({self._done + 1} of {self._count}); {self._left(self._started)} left")

    def tick(self) -> None:
        """Print the time it took so far, every 30 s."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + STILL_S
            self.note(f"building {self._name}: {now - self._started:.0f} s; {self._left(now)} left")

    def built(self, name: str, seconds: float) -> None:
        """Print the time it took."""
        self._done += 1
        self._estimate.end(name, seconds)
        self.note(f"built {name} in {seconds:.0f} s")

    def _left(self, now: float) -> str:
        return in_words(self._estimate.left(now))


class LiveProgress:
    """A line for each build with a running clock; a context manager."""

    def __init__(self, console: Console) -> None:
        self._rich = RichProgress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._estimate = Estimate([])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def begin(self, tools: Sequence[Tool]) -> None:
        """List what is going to be built."""
        self._rich.start()
        self.note(first_time(tools))
        self._estimate = Estimate(tools)
        self._tasks = {tool.name: self._rich.add_task(tool.name, start=False, total=1) for tool in tools}
        self._all = self._rich.add_task(self._left(), total=1)

    def waiting(self, holder: str) -> None:
        """Print whom this waits for."""
        self.note(WAITING.format(holder=f" (process {holder})" if holder else ""))

    def note(self, text: str) -> None:
        """Print it above the list."""
        self._rich.console.print(text, highlight=False)

    def building(self, name: str) -> None:
        """Start the clock of the line."""
        self._rich.start_task(self._tasks[name])
        self._estimate.start(name, time.monotonic())

    def tick(self) -> None:
        """Show the time that is left; the clocks run by themselves."""
        if self._all is not None:
            self._rich.update(self._all, description=self._left())

    def built(self, name: str, seconds: float) -> None:
        """Stop the clock of the line."""
        self._rich.update(self._tasks[name], completed=1)
        self._estimate.end(name, seconds)

    def _left(self) -> str:
        return f"all: {in_words(self._estimate.left(time.monotonic()))} left"
