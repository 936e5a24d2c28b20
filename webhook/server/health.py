"""Health and metrics, in plain HTTP: what the kubelet and Prometheus talk to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from webhook.telemetry.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.server.program import Lifecycle
    from webhook.telemetry.progress import Progress


_SCRAPE_PAUSE = 9
"""For this many times the seconds that writing the metrics took, the same text is given again."""


def plain_application(lifecycle: Lifecycle, progress: Progress) -> FastAPI:
    """The application of this port."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    exposition = Exposition()

    @application.get("/healthz")
    async def healthz() -> Response:
        """Whether the event loop answers and every loop makes progress; if not, which one does not."""
        reason = progress.hanging()
        return PlainTextResponse(f"{reason}\n", status_code=503) if reason else PlainTextResponse("ok\n")

    @application.get("/readyz")
    async def readyz() -> Response:
        """Whether reviews may come; if not, why."""
        reason = lifecycle.not_ready_because()
        return PlainTextResponse(f"{reason}\n", status_code=503) if reason else PlainTextResponse("ok\n")

    @application.get("/metrics")
    async def metrics() -> Response:
        """Everything that is counted."""
        return Response(exposition.text(), media_type=CONTENT_TYPE_LATEST)

    return application


class Exposition:
    """All metrics as text. Writing it takes a tenth of the time at most; in between, the last text is given again.

    A scrape costs milliseconds, for which no review is answered.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._text = b""
        self._good_until = clock()

    def text(self) -> bytes:
        """The metrics of a moment ago at most."""
        began = self._clock()
        if began >= self._good_until:
            self._text = generate_latest(REGISTRY)
            ended = self._clock()
            self._good_until = ended + _SCRAPE_PAUSE * (ended - began)
        return self._text
