"""POST /mutate: HTTP around one review. A decision is always 200; other codes mean that it was no review."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request, Response

from webhook.admission.reviews import InvalidReviewError, parse_review
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.admission.service import AdmissionService

log = structlog.get_logger(__name__)

LARGEST_BODY = 7 * 1024 * 1024
"""Bytes. The API server takes objects up to 3 MiB, and a review carries two of them."""

MARGIN = 0.5
"""Seconds kept free of the API server's own timeout for the way back."""

_DEFAULT_TIMEOUT = 10.0
"""Seconds, where the request does not say: a webhook's default timeoutSeconds."""

_LONGEST_NAME = 253
"""Characters of a name that go into the log: a body is untrusted, a DNS name is no longer."""

_LENGTH = re.compile(r"[0-9]{1,18}")
_TIMEOUT = re.compile(r"([0-9]{1,3})s")
_BAD_REQUEST, _TOO_LARGE, _UNSUPPORTED = 400, 413, 415


def admission_router(service: AdmissionService) -> APIRouter:
    """The route that the MutatingWebhookConfiguration points to."""
    router = APIRouter()

    async def mutate(request: Request) -> Response:
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return _refused(_UNSUPPORTED, "the content type is not application/json")
        body = await _body(request)
        if body is None:
            return _refused(_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")
        try:
            return await _answered(body, _seconds(request))
        except InvalidReviewError as error:
            return _refused(_BAD_REQUEST, str(error))

    async def _answered(body: bytes, seconds: float) -> Response:
        started = time.perf_counter()
        review = parse_review(body)
        answer = await service.answer(review, seconds)
        duration = time.perf_counter() - started
        operation = review.operation if review.operation in {"CREATE", "UPDATE"} else "other"
        metrics.admission_requests.labels(operation, answer.outcome).inc()
        metrics.admission_seconds.labels(answer.outcome).observe(duration)
        if review.is_service_account and (answer.patch or not answer.allowed or answer.warnings):
            log.info(
                "review_answered",
                uid=review.uid[:_LONGEST_NAME],
                operation=review.operation,
                namespace=review.namespace[:_LONGEST_NAME],
                service_account=review.name[:_LONGEST_NAME],
                dry_run=bool(review.dry_run),
                allowed=answer.allowed,
                outcome=answer.outcome,
                role_arn=answer.audit.get("role"),
                duration_s=round(duration, 4),
            )
        return Response(answer.render(review.uid), media_type="application/json")

    # A plain Starlette route: FastAPI's own would add work for dependencies and models, of which there are none.
    router.add_route("/mutate", mutate, methods=["POST"])
    return router


async def _body(request: Request) -> bytes | None:
    """The body, or None for one that is too large, of which no more than the limit is kept."""
    announced = request.headers.get("content-length", "")
    if _LENGTH.fullmatch(announced) and int(announced) > LARGEST_BODY:
        return None  # at once; a length that is no number is not believed, what comes is counted below
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _seconds(request: Request) -> float:
    """How long an answer may take: the API server sends `?timeout=10s`."""
    match = _TIMEOUT.fullmatch(request.query_params.get("timeout", ""))
    return max((float(match[1]) if match else _DEFAULT_TIMEOUT) - MARGIN, MARGIN)


def _refused(status: int, message: str) -> Response:
    metrics.reviews_refused.labels(str(status)).inc()
    log.warning("request_refused", status=status, reason=message)
    return Response(message + "\n", status_code=status, media_type="text/plain")
