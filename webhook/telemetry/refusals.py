"""Requests and connections that were refused: counted, each kind logged now and then."""

from __future__ import annotations

import structlog

from webhook.telemetry import metrics
from webhook.telemetry.seldom import Seldom

log = structlog.get_logger(__name__)

_seldom = Seldom()


def note_refusal(status: int, reason: str) -> None:
    """A request was answered with an HTTP error. `reason` is short."""
    metrics.reviews_refused.labels(str(int(status))).inc()
    if (dropped := _seldom.take(status)) is not None:
        log.warning("request_refused", status=int(status), reason=reason, not_logged_before=dropped)


def note_closing(cause: str) -> None:
    """A connection was closed because of its client, or because others need its place."""
    metrics.connections_closed.labels(cause).inc()
    if (dropped := _seldom.take(cause)) is not None:
        log.warning("connection_closed", cause=cause, not_logged_before=dropped)
