"""What is read of a review: names and the role annotation, before and after, and nothing else of the object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.reviews import annotated, review
from tests.support.sites import role, subject
from webhook.admission.reviews import InvalidReviewError, Request, parse_review

SUBJECT = subject(1)
ROLE = role().value


def _parsed(annotations: Any = None, **changes: Any) -> Request:
    return parse_review(json.dumps(review(SUBJECT, annotations=annotations, **changes)).encode())


def _object(annotations: Any) -> dict[str, Any]:
    return {"metadata": {"name": SUBJECT.service_account, "annotations": annotations}}


@pytest.mark.parametrize(
    ("annotations", "role_annotation", "has_annotations"),
    [
        (None, None, False),
        ({}, None, True),
        ({"note": "x"}, None, True),
        (annotated(""), None, True),
        (annotated(ROLE), ROLE, True),
        ({"note": 1, **annotated(ROLE)}, ROLE, True),
    ],
)
def test_the_role_annotation_is_read(
    annotations: Any, role_annotation: str | None, *, has_annotations: bool
) -> None:
    metadata = _parsed(object=_object(annotations)).metadata
    assert (metadata.role_annotation, metadata.has_annotations) == (role_annotation, has_annotations)


@pytest.mark.parametrize(
    ("old", "before"),
    [
        (None, None),
        (_object(None), None),
        (_object({"note": "x"}), None),
        (_object(annotated(ROLE)), ROLE),
    ],
)
def test_the_role_annotation_before_an_update_is_read(old: Any, before: str | None) -> None:
    assert _parsed(operation="UPDATE", oldObject=old).old_role == before


@pytest.mark.parametrize(
    "old", [7, [], {}, _object([]), _object(annotated(ROLE) | {"eks.amazonaws.com/role-arn": 1})]
)
def test_an_old_object_that_is_none_is_reported(old: Any) -> None:
    assert "not a ServiceAccount" in _parsed(operation="UPDATE", oldObject=old).unreadable


def test_of_an_endless_role_annotation_no_more_is_kept_than_an_arn_can_have() -> None:
    assert len(_parsed(annotated("x" * 1_000_000)).metadata.role_annotation or "") == 2048


def test_what_is_wrong_is_reported_in_few_words() -> None:
    body = review(SUBJECT) | {"kind": "K" * 100_000, "apiVersion": "V" * 100_000}
    with pytest.raises(InvalidReviewError) as raised:
        parse_review(json.dumps(body).encode())
    assert len(str(raised.value)) < 300
