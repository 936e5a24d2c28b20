"""Where the log goes: its own thread writes the lines, so that a reader of the log cannot delay the program."""

from __future__ import annotations

import os
import threading

from webhook.telemetry import metrics

_MOST_BYTES = 1024 * 1024
"""Lines that wait to be written; some thousand."""

_LAST_SECONDS = 2.0
"""For the lines that still wait when the program ends."""


class LogStream:
    """A binary file for loggers, whose lines are written to `descriptor` in their order.

    Writing to it neither waits nor raises. A line for which there is no room, because the log is read more slowly
    than it is written, is dropped and counted, as is one that cannot be written; those after it are tried again.
    Without a descriptor all are dropped. For any thread.
    """

    def __init__(self, descriptor: int | None, most_bytes: int = _MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._most = most_bytes
        self._lines: list[bytes] = []
        self._size = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> int:
        """Have a line written."""
        with self._changed:
            if has_room := self._size + len(line) <= self._most and not self._is_closed:
                self._lines.append(line)
                self._size += len(line)
                self._changed.notify()
        if not has_room:
            metrics.log_lines_dropped.labels("full").inc()
        return len(line)

    def flush(self) -> None:
        """Nothing: lines are written as soon as they can be."""

    def close(self, seconds: float = _LAST_SECONDS) -> None:
        """Take no more lines, and wait until those before are written, so long at most."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while lines := self._next():
            try:
                self._write(b"".join(lines))
            except OSError:
                metrics.log_lines_dropped.labels("failed").inc(len(lines))
            with self._changed:
                self._size -= sum(map(len, lines))

    def _next(self) -> list[bytes]:
        """All lines that wait, once there are some; none after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._is_closed)
            lines, self._lines = self._lines, []
        return lines

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            raise OSError("there is no standard error")
        while data:
            data = data[os.write(self._descriptor, data) :]
