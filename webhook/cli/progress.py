"""Telling a person what a command waits for, once it takes longer than a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from webhook.cli.progress_line import ProgressLine

_PATIENCE = 1.0
"""Seconds after which somebody wonders."""


class Progress:
    """A line on a terminal that goes away at the end; elsewhere one line a step, for whoever reads a log.

    A context manager inside a running loop. Nothing is written within a second, neither of its beginning nor of
    the first step after `hide`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._shown = False
        self._line: ProgressLine | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def step(self, text: str) -> None:
        """Say what is going on from now on."""
        self._text = text
        if self._timer is None:
            self._wait()
        elif self._line is not None:
            self._line.say(text)
        elif self._shown:
            self._stream.write(f"{text}\n")

    def count(self, text: str, done: int = 0, total: int = 0) -> None:
        """Say how far it is, with a bar where there is a `total`; only a terminal shows it."""
        self._text = text
        if self._line is not None:
            self._line.say(text, done, total)

    def hide(self) -> None:
        """Leave the terminal to what comes now, until the next step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._line is not None:
            self._line.stop()
            self._line = None
        self._shown = False

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._show)

    def _show(self) -> None:
        self._shown = True
        if not self._stream.isatty():
            self._stream.write(f"{self._text}\n")
            return
        from webhook.cli.progress_line import ProgressLine

        self._line = ProgressLine(self._stream, self._text)
