"""Room in a trust policy: known to the character before the write."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    OWN,
    SUBJECTS,
    askings,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
)
from webhook.iam.amendment import Amendment, Standing, amend
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)
quotas = st.integers(0, 3000)


def _control_planes(count: int) -> list[Subject]:
    return [Subject(f"mxp-{UUID(int=number)}-system", "mxp-controller") for number in range(count)]


@given(any_document)
def test_size_is_what_is_sent_without_its_white_space(document: dict[str, Any]) -> None:
    policy = TrustPolicy.parse(document)
    assert json.loads(policy.text()) == document
    assert policy.size() == sum(not character.isspace() for character in policy.text())


@pytest.mark.parametrize("name", ["made by hand", "\xe9t\xe9", "\xa0", "tab\there"])
def test_size_counts_characters_as_they_are_sent(name: str) -> None:
    counted = {"made by hand": 10, "\xe9t\xe9": 3, "\xa0": 1, "tab\there": 9}[name]
    bare = TrustPolicy.parse({"Id": "", "Statement": []}).size()
    assert TrustPolicy.parse({"Id": name, "Statement": []}).size() == bare + counted


@pytest.mark.parametrize(("quota", "room"), [(2048, 18), (4096, 41), (8192, 88)])
def test_as_many_control_planes_fit_as_the_documentation_says(quota: int, room: int) -> None:
    subjects = _control_planes(room + 1)
    empty = TrustPolicy.parse({"Version": "2012-10-17", "Statement": []})
    amendment = amend(empty, OWN, frozenset(), subjects, quota)
    standings = [amendment.verdicts[subject].standing for subject in subjects]
    assert standings == [Standing.ADDED] * room + [Standing.NO_ROOM]
    assert amendment.policy.size() <= quota


def _smallest(document: dict[str, Any], keep: frozenset[Subject]) -> tuple[TrustPolicy, frozenset[Subject]]:
    policy = TrustPolicy.parse(document)
    kept = policy.subjects(OWN) | keep
    return policy.with_subjects(OWN, kept), kept


@given(any_document, askings, subject_sets, quotas)
def test_a_policy_is_over_quota_only_if_what_was_kept_alone_is(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject], quota: int
) -> None:
    amendment = amend(TrustPolicy.parse(document), OWN, keep, asked, quota)
    alone, _ = _smallest(document, keep)
    assert amendment.policy.size() <= max(quota, alone.size())
    if alone.size() > quota:
        assert not amendment.adds_any


@given(any_document, askings, subject_sets, quotas)
def test_a_subject_in_the_policy_or_kept_is_never_dropped_for_room(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject], quota: int
) -> None:
    amendment = amend(TrustPolicy.parse(document), OWN, keep, asked, quota)
    _, kept = _smallest(document, keep)
    assert amendment.policy.subjects(OWN) >= kept
    assert all(
        verdict.standing not in {Standing.NO_ROOM, Standing.ADDED}
        for subject, verdict in amendment.verdicts.items()
        if subject in kept
    )


def _place(amendment: Amendment, subject: Subject) -> Standing:
    return amendment.verdicts[subject].standing


@given(any_document, askings, subject_sets, st.integers(-1, 0) | st.integers(-3, 3), st.data())
def test_room_is_exact_to_the_character(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject], spare: int, data: st.DataObject
) -> None:
    """Asking one by one, with the quota next to a size that matters, each answer is what writing would show."""
    policy = TrustPolicy.parse(document)
    wished = frozenset(data.draw(st.lists(st.sampled_from(asked)))) if asked else frozenset[Subject]()
    kept = policy.subjects(OWN) | keep
    quota = max(0, policy.with_subjects(OWN, kept | wished).size() + spare)
    amendment = amend(policy, OWN, keep, asked, quota)
    trusted = set(kept)
    for subject in dict.fromkeys(asked):
        larger = policy.with_subjects(OWN, trusted | {subject})
        match _place(amendment, subject):
            case Standing.ADDED:
                assert larger.size() <= quota
                trusted.add(subject)
            case Standing.NO_ROOM:
                assert larger.size() > quota
            case _:
                pass
    assert amendment.policy.subjects(OWN) == trusted


def test_a_lone_subject_that_iam_stored_unwrapped_does_not_hide_two_characters() -> None:
    lone = OWN.render(SUBJECTS[:1])
    lone["Condition"]["StringEquals"][OWN.subject_key] = str(SUBJECTS[0])
    policy = TrustPolicy.parse({"Version": "2012-10-17", "Statement": [lone]})
    needed = policy.with_subjects(OWN, SUBJECTS[:2]).size()
    for quota, standing in ((needed - 1, Standing.NO_ROOM), (needed, Standing.ADDED)):
        assert _place(amend(policy, OWN, frozenset(), [SUBJECTS[1]], quota), SUBJECTS[1]) is standing


def test_subjects_that_an_external_statement_allows_or_denies_take_no_room() -> None:
    def statement(effect: str, subject: Subject) -> dict[str, Any]:
        return {**OWN.render([subject]), "Sid": effect, "Effect": effect}

    policy = TrustPolicy.parse({"Statement": [statement("Allow", SUBJECTS[0]), statement("Deny", SUBJECTS[1])]})
    room_for_one = policy.with_subjects(OWN, [SUBJECTS[2]]).size()
    amendment = amend(policy, OWN, frozenset(), SUBJECTS[:3], room_for_one)
    assert [_place(amendment, subject) for subject in SUBJECTS[:3]] == [
        Standing.EXTERNAL,
        Standing.DENIED,
        Standing.ADDED,
    ]


def test_the_first_subject_is_served_first_and_a_shorter_name_may_still_fit() -> None:
    long, short = Subject("mxp-" + "a" * 50, "mxp-controller"), SUBJECTS[0]
    empty = TrustPolicy.parse({"Version": "2012-10-17", "Statement": []})
    quota = empty.with_subjects(OWN, [short]).size()
    amendment = amend(empty, OWN, frozenset(), [long, short], quota)
    assert _place(amendment, long) is Standing.NO_ROOM
    assert _place(amendment, short) is Standing.ADDED
