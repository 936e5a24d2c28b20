"""A program that observes lets every review pass as it is."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.reviews import JSON, UID, review
from tests.support.sites import subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.admission.routes import admission_router
from webhook.observe.assembly import ObservedReviews

SUBJECT = subject(1)
EXTERNAL = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/by-hand"}
DEEP = '{"f:a":' * 5000 + "{}" + "}" * 5000
REVIEWS: dict[str, str] = {
    "a creation": json.dumps(review(SUBJECT)),
    "an external role": json.dumps(review(SUBJECT, annotations=EXTERNAL)),
    "an update": json.dumps(review(SUBJECT, operation="UPDATE")),
    "a dry run": json.dumps(review(SUBJECT, dry_run=True)),
    "an object without metadata": json.dumps(review(SUBJECT, object={"kind": "ServiceAccount"})),
    "an object nested too deep": json.dumps(review(SUBJECT)).replace(
        '"metadata": {', f'"metadata": {{"managedFields": [{{"fieldsV1": {DEEP}}}], ', 1
    ),
}


@pytest.mark.parametrize("case", REVIEWS)
@in_virtual_time
async def test_every_review_is_allowed_at_once_and_unchanged(case: str) -> None:
    answer = await _answer(REVIEWS[case])
    assert answer["response"] == {"uid": UID, "allowed": True}
    assert now() == 0


async def _answer(body: str) -> Any:
    transport = httpx.ASGITransport(admission_router(ObservedReviews()))
    async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
        reply = await client.post("/mutate", content=body, headers=JSON)
    return reply.raise_for_status().json()
