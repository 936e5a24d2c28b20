"""Printing: colours and bars on a terminal, plain lines elsewhere."""

import difflib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_WIDTH = 115
TIME_WIDTH = 9
DIFF_CONTEXT = 2


class Bar(Protocol):
    """A bar on its way to its end."""

    def __call__(self, done: int) -> None:
        """Say how much is done."""


class Screen:
    """What the demo prints to. Without a terminal there are no colours, no bars and a fixed width."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=PLAIN_WIDTH, color_system=None)

    def title(self, text: str) -> None:
        """Begin a part."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def line(self, text: str = "") -> None:
        """Print a sentence."""
        self._console.print(escape(text))

    def timeline(self) -> "Timeline":
        """Begin a story: its clock starts now."""
        return Timeline(self)

    def moment(self, seconds: float, what: str, details: tuple[str, ...]) -> None:
        """Print what happened `seconds` after a story began."""
        self._console.print(f"[cyan]{f'+{seconds:.3f} s':>{TIME_WIDTH}}[/cyan]  {escape(what)}")
        for detail in details:
            self._console.print(f"{'':>{TIME_WIDTH}}    [dim]{escape(detail)}[/dim]", soft_wrap=True)

    def success(self, text: str) -> None:
        """Print that something holds."""
        self._console.print(f"[green]{escape(text)}[/green]")

    def difference(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Print two JSON documents as a diff."""
        old, new = (json.dumps(document, indent=2).splitlines() for document in (before, after))
        for line in list(difflib.unified_diff(old, new, lineterm="", n=DIFF_CONTEXT))[2:]:
            style = {"+": "green", "-": "red", "@": "dim"}.get(line[0], "")
            text = escape(line)
            self._console.print(f"    [{style}]{text}[/{style}]" if style else f"    {text}", soft_wrap=True)

    def table(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Print a table; every column but the first is right-aligned."""
        table = Table(box=None, padding=(0, 2, 0, 4))
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index else "left")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._console.print(table)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """Show a bar for the length of a `with` block; without a terminal, a line at every fifth."""
        if not self._console.is_terminal:
            yield _Lines(self, what, total)
            return
        columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)


class Timeline:
    """What happened when. Some of it is learnt late, so it is shown in order at the end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._began = time.time()
        self._moments: list[tuple[float, str, tuple[str, ...]]] = []

    def moment(self, what: str, *details: str, at: float | None = None) -> None:
        """Note what happened now, or `at` (seconds since 1970)."""
        self._moments.append(((at or time.time()) - self._began, what, details))

    def show(self) -> None:
        """Print all of it."""
        for seconds, what, details in sorted(self._moments):
            self._screen.moment(seconds, what, details)


class _Lines:
    """A bar for paper."""

    def __init__(self, screen: Screen, what: str, total: int) -> None:
        self._screen = screen
        self._what = what
        self._total = total
        self._step = max(total // 5, 1)
        self._next = self._step

    def __call__(self, done: int) -> None:
        if done >= self._next:
            self._screen.line(f"    {self._what}: {done} of {self._total}")
            self._next = done - done % self._step + self._step
