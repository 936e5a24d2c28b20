"""The forecast: how many subjects more a trust policy has room for."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    OWN,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
)
from webhook.iam.amendment import Standing, amend, room
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)
EMPTY = TrustPolicy.parse({"Version": "2012-10-17", "Statement": []})


def _control_planes(count: int) -> list[Subject]:
    return [Subject(f"mxp-{UUID(int=number)}-system", "mxp-controller") for number in range(count)]


@pytest.mark.parametrize(("quota", "in_all"), [(2048, 18), (4096, 41), (8192, 88), (131072, 1500)])
@pytest.mark.parametrize("there", [0, 1, 2, 17])
def test_the_forecast_is_as_many_control_planes_as_are_then_added(quota: int, in_all: int, there: int) -> None:
    crowd = _control_planes(in_all + 10)
    policy = EMPTY.with_subjects(OWN, crowd[:there])
    amendment = amend(policy, OWN, frozenset(), crowd[there:], quota)
    added = sum(verdict.standing is Standing.ADDED for verdict in amendment.verdicts.values())
    assert room(policy, OWN, quota) == added or quota == 131072
    assert there + room(policy, OWN, quota) >= in_all


@given(st.integers(0, 30), st.integers(0, 4000))
def test_one_character_more_makes_room_for_one_more_exactly_where_it_is_needed(there: int, quota: int) -> None:
    """With names of one length the average is exact: so is the forecast, to the character."""
    crowd = _control_planes(there + 60)
    policy = EMPTY.with_subjects(OWN, crowd[:there])
    fit = room(policy, OWN, quota)
    if fit:
        assert policy.with_subjects(OWN, crowd[: there + fit]).size() <= quota
    assert policy.with_subjects(OWN, crowd[: there + fit + 1]).size() > quota


@given(any_document, st.integers(0, 4000), st.integers(0, 500))
def test_the_forecast_is_never_negative_and_grows_with_the_quota(
    document: dict[str, Any], quota: int, more: int
) -> None:
    policy = TrustPolicy.parse(document)
    assert 0 <= room(policy, OWN, quota) <= room(policy, OWN, quota + more)


def test_names_of_different_lengths_count_by_their_average() -> None:
    short, long = Subject("a", "b"), Subject("a" * 41, "b")
    policy = EMPTY.with_subjects(OWN, [short, long])
    average = (len(str(short)) + len(str(long))) // 2 + 3
    assert room(policy, OWN, policy.size() + 5 * average - 1) == 4
    assert room(policy, OWN, policy.size() + 5 * average) == 5


def test_a_lone_subject_that_iam_stored_unwrapped_makes_no_room() -> None:
    stored = OWN.render(_control_planes(1))
    stored["Condition"]["StringEquals"][OWN.subject_key] = str(_control_planes(1)[0])
    unwrapped = TrustPolicy.parse({"Version": "2012-10-17", "Statement": [stored]})
    for quota in range(500, 800):
        assert room(unwrapped, OWN, quota) == room(EMPTY.with_subjects(OWN, _control_planes(1)), OWN, quota)
