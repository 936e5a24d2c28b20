"""Running a command's coroutine: quiet logs, a line for what it waits for, and an orderly end by a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, Self, TextIO, TypeVar

from webhook.cli.exits import handle_signals
from webhook.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Any

    from rich.live import Live

T = TypeVar("T")


def run(command: Callable[[Progress], Coroutine[Any, Any, T]]) -> T:
    """Run a command to its end.

    SIGTERM is treated as Ctrl-C: a write under way ends first, and the Lease names what it changed.
    """
    configure_logs(logging.ERROR)
    before = signal.getsignal(signal.SIGTERM)
    # asyncio handles Ctrl-C only where it finds Python's own handler. Its handler is right for SIGTERM too.
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)

    async def work() -> T:
        handler_of_asyncio = signal.signal(signal.SIGINT, outside)
        handle_signals(handler_of_asyncio)
        with Progress(sys.stderr) as progress:
            return await command(progress)

    try:
        return asyncio.run(work())
    finally:
        signal.signal(signal.SIGINT, outside)
        signal.signal(signal.SIGTERM, before)


async def to_its_end(write: Coroutine[Any, Any, T]) -> T:
    """Await a write that Ctrl-C does not cut off: it ends first, and then the command does."""
    task = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Progress:
    """What a command waits for: a line on a terminal, removed at the end; elsewhere one line a step, for a log.

    A context manager inside a running loop. Nothing is written within `quiet_seconds` of the beginning, or of the
    first step after `hide`.
    """

    def __init__(self, stream: TextIO, quiet_seconds: float = 1.0) -> None:
        self._stream = stream
        self._quiet_seconds = quiet_seconds
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._shown = False
        self._line: Live | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def step(self, text: str) -> None:
        """Show what is going on from now on."""
        self._text = text
        if self._timer is None:
            self._wait()
        elif self._line is not None:
            self.count(text)
        elif self._shown:
            self._stream.write(f"{text}\n")

    def count(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show how far it is, with a bar where there is a `total`; only on a terminal."""
        self._text = text
        if self._line is None:
            return
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 1))
        row.add_row(Text(text), *([ProgressBar(total, done, width=40)] if total else []))
        self._line.update(Spinner("dots", row), refresh=True)

    def hide(self) -> None:
        """Leave the terminal to other output, until the next step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._line is not None:
            self._line.stop()
            self._line = None
        self._shown = False

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._quiet_seconds, self._show)

    def _show(self) -> None:
        self._shown = True
        if not self._stream.isatty():
            self._stream.write(f"{self._text}\n")
            return
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        line = Spinner("dots", Text(self._text))
        self._line = Live(line, console=Console(file=self._stream), refresh_per_second=12.5, transient=True)
        self._line.start()
