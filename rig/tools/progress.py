"""Telling a person what is being built and for how long: live on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

STILL_S = 30.0
WAITING = "another build is running{holder}: waiting for it"
FIRST_TIME = (
    "building {count} of the rig's binaries from source, once (all of them: about 9 minutes on 2 cores,\n"
    "7 GB of disk while it lasts, 550 MB afterwards)"
)


class Progress(Protocol):
    """What a build reports."""

    def begin(self, names: Sequence[str]) -> None:
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
    """One line for each start and end, and one every 30 s in between."""

    def __init__(self) -> None:
        self._count = self._done = 0
        self._name = ""
        self._started = self._next = 0.0

    def begin(self, names: Sequence[str]) -> None:
        """Print how many there are."""
        self._count = len(names)
        self.note(FIRST_TIME.format(count=self._count))

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
        self.note(f"building {name} ({self._done + 1} of {self._count})")

    def tick(self) -> None:
        """Print the time it took so far, every 30 s."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + STILL_S
            self.note(f"building {self._name}: {now - self._started:.0f} s")

    def built(self, name: str, seconds: float) -> None:
        """Print the time it took."""
        self._done += 1
        self.note(f"built {name} in {seconds:.0f} s")


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def begin(self, names: Sequence[str]) -> None:
        """List what is going to be built."""
        self._rich.start()
        self.note(FIRST_TIME.format(count=len(names)))
        self._tasks = {name: self._rich.add_task(name, start=False, total=1) for name in names}

    def waiting(self, holder: str) -> None:
        """Print whom this waits for."""
        self.note(WAITING.format(holder=f" (process {holder})" if holder else ""))

    def note(self, text: str) -> None:
        """Print it above the list."""
        self._rich.console.print(text, highlight=False)

    def building(self, name: str) -> None:
        """Start the clock of the line."""
        self._rich.start_task(self._tasks[name])

    def tick(self) -> None:
        """Do nothing: the clock runs by itself."""

    def built(self, name: str, seconds: float) -> None:  # noqa: ARG002
        """Stop the clock of the line."""
        self._rich.update(self._tasks[name], completed=1)
