"""Structured logs: one JSON object a line on standard error, or coloured lines on a terminal.

A service has a thread of its own write the lines, so that a reader of the log cannot delay the program.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_MOST_BYTES = 1024 * 1024
"""Lines that wait to be written; some thousand."""

_LAST_SECONDS = 2.0
"""For the lines that still wait when the program ends."""


def _in_order(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The line with what every line has at its beginning."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


_SHARED: tuple[structlog.types.Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


@contextmanager
def logs_of_a_service(level: int) -> Iterator[None]:
    """Write logs from `level` on in a thread of their own until the block ends, so that none delays the program.

    On a terminal they are written at once, as a command's are.
    """
    stream = LogStream(None if sys.stderr is None else sys.stderr.fileno())
    configure_logs(level, stream)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        stream.close()


def configure_logs(level: int, stream: LogStream | None = None) -> None:
    """Send all logs from `level` on, those of libraries too, to standard error in one form, by `stream` if given.

    The program's own logs bypass the standard library's logging, which would take longer than the review that they
    are about. Libraries' logs pass through it, from warnings on.
    """
    final: tuple[structlog.types.Processor, ...]
    factory: Any
    file: BinaryIO | LogStream = stream or sys.stderr.buffer
    if sys.stderr is not None and sys.stderr.isatty():
        final, factory = (structlog.dev.ConsoleRenderer(),), structlog.PrintLoggerFactory(sys.stderr)
        library: tuple[structlog.types.Processor, ...] = final
    else:
        final = (structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer(_json))
        factory = structlog.BytesLoggerFactory(file)  # type: ignore[arg-type]  # it writes and flushes
        library = (structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[*_SHARED, *final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(file)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(foreign_pre_chain=_SHARED, processors=[formatter.remove_processors_meta, *library])
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    # It warns of each request that is not HTTP; the program counts those, and samples them in the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # While AWS is silent or a proxy answers it warns with tracebacks, which hold whole answers; the program's own
    # line names the call and the reason.
    logging.getLogger("botocore").setLevel(logging.CRITICAL)


class _Handler(logging.Handler):
    """Writes what libraries log. It never raises."""

    def __init__(self, file: BinaryIO | LogStream) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.write(self.format(record).encode(errors="backslashreplace") + b"\n")
            self._file.flush()
        except Exception:  # noqa: BLE001  what cannot be logged is no reason to fail
            metrics.log_lines_dropped.labels("failed").inc()


def _json(event: dict[str, Any], **_: Any) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=str)
    except (msgspec.MsgspecError, ValueError):  # such as half a surrogate pair
        return json.dumps(event, default=repr).encode()


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
