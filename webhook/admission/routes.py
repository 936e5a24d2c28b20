"""POST /mutate: HTTP around one review. A decision is always 200; other codes mean that no review was read."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.routing import Route, Router

from webhook.admission.answers import Answer
from webhook.admission.bodies import (
    LARGEST_BODY,
    Bodies,
    BodyTooLargeError,
    NoRoomError,
    UnreadBodyError,
    drained,
)
from webhook.admission.reviews import InvalidReviewError, TooDeepError, parse_review
from webhook.telemetry import metrics
from webhook.telemetry.refusals import note_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.admission.reviews import Request as ReviewRequest
    from webhook.admission.reviews import Reviewer

log = structlog.get_logger(__name__)

MARGIN = 0.5
"""Seconds of the API server's own timeout that are kept for the way back."""

_DEFAULT_TIMEOUT = 10.0
"""Seconds, where the request has no timeout: a webhook's default timeoutSeconds."""

_LONGEST_NAME = 253
"""Characters of a name that go into the log. A body is untrusted; no DNS name is longer."""

_BAD_REQUEST, _FORBIDDEN, _TOO_LARGE, _UNSUPPORTED, _UNAVAILABLE = 400, 403, 413, 415, 503
_TIMEOUT = re.compile(r"([0-9]{1,3})s")

_UID = re.compile(rb'"request":\{"uid":"([0-9a-f-]{1,63})"')
"""At the beginning of a review: an API server writes fields in a fixed order (k8s.io/api, admission/v1)."""

_UNREAD: dict[type[UnreadBodyError], tuple[int, str, dict[str, str]]] = {
    BodyTooLargeError: (_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes", {"connection": "close"}),
    # The API server tries again after so many seconds, up to ten times within its own timeout.
    NoRoomError: (_UNAVAILABLE, "too many large reviews at once", {"retry-after": "1"}),
}


def admission_router(
    service: Reviewer, bodies: Bodies | None = None, is_draining: Callable[[], bool] = lambda: False
) -> Router:
    """The route that the MutatingWebhookConfiguration points to, as an application.

    It uses Starlette alone: FastAPI's layers take half of the time of an answer, and do nothing for this route.

    While the program drains, each answer closes its connection. Else an API server, which keeps idle connections
    for 90 s, would go on sending reviews to a program that is shutting down.
    """
    held = bodies or Bodies()

    async def mutate(request: Request) -> Response:
        response = await respond(request)
        if is_draining():
            response.headers["connection"] = "close"
        return response

    async def respond(request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + _seconds(request)
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return _http_error(_UNSUPPORTED, "the content type is not application/json")
        try:
            review = parse_review(await held.read(request))  # the body is freed before the review waits
            return await _answer(service, review, deadline)
        except TooDeepError as error:
            if service.observes:
                return _rendered(error.uid, Answer(allowed=True, outcome="observed"))
            return _denial(error.uid, "refused_too_deep", _FORBIDDEN, str(error))
        except InvalidReviewError as error:
            return _http_error(_BAD_REQUEST, str(error))
        except UnreadBodyError as error:
            return await _unread(request, error, may_deny=service.may_deny)
        except ClientDisconnect:
            return Response(status_code=_BAD_REQUEST)

    return Router([Route("/mutate", mutate, methods=["POST"])], redirect_slashes=False)


async def _answer(service: Reviewer, review: ReviewRequest, deadline: float) -> Response:
    started = time.perf_counter()
    answer = await service.answer(review, max(deadline - asyncio.get_running_loop().time(), 0))
    duration = time.perf_counter() - started
    metrics.admission_requests.labels(review.operation if review.is_reviewed else "other", answer.outcome).inc()
    metrics.admission_seconds.labels(answer.outcome).observe(duration)
    if review.is_reviewed and (answer.patch or not answer.allowed or answer.warnings):
        log.info(
            "review_answered",
            uid=review.uid[:_LONGEST_NAME],
            operation=review.operation,
            namespace=review.namespace[:_LONGEST_NAME],
            service_account=review.name[:_LONGEST_NAME],
            dry_run=review.dry_run,
            allowed=answer.allowed,
            outcome=answer.outcome,
            role_arn=answer.audit.get("role"),
            duration_s=round(duration, 4),
        )
    return _rendered(review.uid, answer)


async def _unread(request: Request, error: UnreadBodyError, *, may_deny: bool) -> Response:
    """Answer a review that was not read: with a denial where a setting can deny, else with an HTTP error.

    Under failurePolicy Ignore an HTTP error lets the object pass. So with it a large enough object would bypass a
    denial.
    """
    status, reason, headers = _UNREAD[type(error)]
    found = None
    if may_deny:
        with suppress(ClientDisconnect):
            found = _UID.search(await drained(request, error.head))
    if found is None:
        return _http_error(status, reason, headers)
    return _denial(found[1].decode(), "refused_unread", status, f"{reason}, so that it was not read")


def _denial(uid: str, outcome: str, status: int, reason: str) -> Response:
    """A denial of what was not read. A well-formed ServiceAccount is read at the latest when it is tried again."""
    metrics.admission_requests.labels("other", outcome).inc()
    note_refusal(status, reason)
    return _rendered(uid, Answer(allowed=False, outcome=outcome, refusal=reason, status=status))


def _rendered(uid: str, answer: Answer) -> Response:
    return Response(answer.render(uid), media_type="application/json")


def _seconds(request: Request) -> float:
    """How long an answer may take: the API server sends `?timeout=10s`."""
    match = _TIMEOUT.fullmatch(request.query_params.get("timeout", ""))
    return max((float(match[1]) if match else _DEFAULT_TIMEOUT) - MARGIN, MARGIN)


def _http_error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    note_refusal(status, message)
    return Response(message + "\n", status_code=status, media_type="text/plain", headers=headers)
