"""Structured logs: one JSON object a line on standard error, or coloured lines on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog

_SHARED: tuple[structlog.types.Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def configure_logs(level: int = logging.INFO) -> None:
    """Send all logs from `level` on, those of libraries too, to standard error in one form.

    Ours do not pass through the standard library's logging: that would take longer than the review that they are
    about. Libraries' do, from warnings on.
    """
    final: tuple[structlog.types.Processor, ...]
    factory: Any
    if sys.stderr.isatty():
        final, factory = (structlog.dev.ConsoleRenderer(),), structlog.PrintLoggerFactory(sys.stderr)
        library: tuple[structlog.types.Processor, ...] = final
    else:
        final = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json))
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
        library = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[*_SHARED, *final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(foreign_pre_chain=_SHARED, processors=[formatter.remove_processors_meta, *library])
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    # It warns of each request that is not HTTP; ours are counted, and logged now and then.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # While AWS is silent or a proxy answers it warns with tracebacks, which hold whole answers; our own line names
    # the call and the reason.
    logging.getLogger("botocore").setLevel(logging.CRITICAL)


def _json(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
