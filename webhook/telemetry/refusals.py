"""Requests and connections that were refused: each is counted, and each kind logged every ten seconds at most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

log = structlog.get_logger(__name__)


class LogLimit:
    """Passes one line of each key in so many seconds. Keys have to be few."""

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due: dict[Hashable, float] = {}
        self._dropped: dict[Hashable, int] = {}

    def take(self, key: Hashable) -> int | None:
        """The number of lines dropped since the last one, where one is due; else None, and this one is dropped."""
        now = self._clock()
        if now < self._due.get(key, now):
            self._dropped[key] = self._dropped.get(key, 0) + 1
            return None
        self._due[key] = now + self._seconds
        return self._dropped.pop(key, 0)


_limit = LogLimit()


def note_refusal(status: int, reason: str) -> None:
    """Count a request that was answered with an HTTP error. `reason` is short."""
    metrics.reviews_refused.labels(str(int(status))).inc()
    if (dropped := _limit.take(status)) is not None:
        log.warning("request_refused", status=int(status), reason=reason, not_logged_before=dropped)


def note_closing(cause: str) -> None:
    """Count a connection that was closed because of its client, or because others need its place."""
    metrics.connections_closed.labels(cause).inc()
    if (dropped := _limit.take(cause)) is not None:
        log.warning("connection_closed", cause=cause, not_logged_before=dropped)
