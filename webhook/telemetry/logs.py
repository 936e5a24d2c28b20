"""Structured logs: one JSON object a line on standard error, or coloured lines on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from webhook.telemetry import metrics
from webhook.telemetry.log_stream import LogStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


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
