"""The line on a terminal that says how far a command is; loaded only by one that takes so long."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.progress_bar import ProgressBar


class ProgressLine:
    """A spinner, what is going on, and a bar where it is known how much there is to do."""

    def __init__(self, stream: TextIO, text: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), _Bar())
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._task = self._progress.add_task(text, total=None)
        self._progress.start()

    def say(self, text: str, done: int = 0, total: int = 0) -> None:
        """What is going on, and how many of how many are done; no `total` means that nobody knows."""
        self._progress.reset(self._task, description=text, completed=done, total=total or None)
        self._progress.refresh()

    def stop(self) -> None:
        """Take it away."""
        self._progress.stop()


class _Bar(BarColumn):
    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]  # any column may be a text
        return Text() if task.total is None else super().render(task)
