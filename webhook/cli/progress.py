"""Telling a person what a command waits for, once it takes longer than a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status

_PATIENCE = 1.0
"""Seconds after which somebody wonders."""


class Progress:
    """A line on a terminal that goes away at the end; elsewhere one line a step, for whoever reads a log.

    A context manager inside a running loop. Nothing is written within the first second.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._shown = False
        self._status: Status | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._show)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def step(self, text: str) -> None:
        """Say what is going on from now on."""
        self._text = text
        if self._shown and self._status is None:
            self._stream.write(f"{text}\n")

    def count(self, text: str) -> None:
        """Say how far it is; only a terminal shows it."""
        self._text = text
        if self._status is not None:
            self._status.update(text)

    def hide(self) -> None:
        """Leave the terminal to what comes now."""
        self._timer.cancel()
        if self._status is not None:
            self._status.stop()
            self._status = None
        self._shown = False

    def _show(self) -> None:
        self._shown = True
        if not self._stream.isatty():
            self._stream.write(f"{self._text}\n")
            return
        from rich.console import Console
        from rich.status import Status

        self._status = Status(self._text, console=Console(file=self._stream))
        self._status.start()
