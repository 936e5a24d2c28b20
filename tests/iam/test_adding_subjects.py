"""What amending a policy does to who may assume the role, in the independent evaluator's eyes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import let_in, lets_in, token
from tests.iam.policies import (
    OWN,
    SUBJECTS,
    as_stored,
    askings,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
    subjects,
)
from webhook.iam.amendment import Amendment, Standing, amend
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

_ENDLESS = 131072

any_document = st.one_of(external_documents, stored_documents, shared_documents)


def _amend(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject] = frozenset(), quota: int = _ENDLESS
) -> Amendment:
    return amend(TrustPolicy.parse(document), OWN, keep, asked, quota)


@given(any_document, subjects)
def test_the_subject_is_let_in_unless_a_deny_keeps_it_out_and_that_is_reported(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    amendment = _amend(document, [subject])
    denied = amendment.verdicts[subject].standing is Standing.DENIED
    assert lets_in(oracle, amendment.policy.document, token(subject)) is not denied


@given(any_document, askings, subject_sets)
def test_every_subject_that_was_allowed_before_still_is(
    oracle: TrustOracle, document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject]
) -> None:
    assert let_in(oracle, document) <= let_in(oracle, _amend(document, asked, keep).policy.document)


@given(any_document, askings, subject_sets)
def test_no_subject_is_newly_allowed_but_those_asked_for_or_kept(
    oracle: TrustOracle, document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject]
) -> None:
    new = let_in(oracle, _amend(document, asked, keep).policy.document) - let_in(oracle, document)
    assert new <= {token(subject) for subject in {*asked, *keep}}


@given(any_document, askings)
def test_each_verdict_is_what_the_evaluator_sees(
    oracle: TrustOracle, document: dict[str, Any], asked: list[Subject]
) -> None:
    amendment = _amend(document, asked)
    trusted = TrustPolicy.parse(document).subjects(OWN)
    for subject, verdict in amendment.verdicts.items():
        before = lets_in(oracle, document, token(subject))
        match verdict.standing:
            case Standing.KEPT:
                assert before
                assert subject in trusted
            case Standing.EXTERNAL:
                assert before
                assert subject not in trusted
            case Standing.ADDED:
                assert not before
            case Standing.DENIED:
                assert not before
                assert subject in amendment.policy.subjects(OWN) or subject not in trusted
            case Standing.NO_ROOM:
                raise AssertionError("there was room")


@given(hand_edited_documents, askings)
def test_a_statement_of_ours_that_was_edited_by_hand_trusts_the_subjects_that_it_names_and_no_more(
    oracle: TrustOracle, document: dict[str, Any], asked: list[Subject]
) -> None:
    policy = TrustPolicy.parse(document)
    amended = _amend(document, asked).policy
    others = policy.with_subjects(OWN, ())
    assert amended.subjects(OWN) <= policy.subjects(OWN) | set(asked)
    named = {token(s) for s in amended.subjects(OWN) if others.effects_on(OWN, s).denial is None}
    assert let_in(oracle, amended.document) == let_in(oracle, others.document) | named


@given(any_document | hand_edited_documents, askings, subject_sets)
def test_amending_twice_changes_nothing_more(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject]
) -> None:
    once = _amend(document, asked, keep)
    twice = _amend(once.policy.document, asked, keep)
    assert twice.policy.text() == once.policy.text()
    assert not twice.adds_any


@given(st.data(), stored_documents, askings)
def test_what_iam_gives_back_after_a_write_needs_no_second_write(
    data: st.DataObject, document: dict[str, Any], asked: list[Subject]
) -> None:
    written = _amend(document, asked).policy
    read = TrustPolicy.parse(data.draw(as_stored(written.document)))
    again = amend(read, OWN, frozenset(), asked, _ENDLESS)
    assert again.policy == read
    assert again.policy.same_meaning(written)


@given(any_document, askings)
def test_a_subject_that_needs_nothing_leaves_the_document_as_it_was_read(
    document: dict[str, Any], asked: list[Subject]
) -> None:
    amendment = _amend(document, asked)
    if not amendment.adds_any:
        assert amendment.policy.document is document


@given(any_document, subject_sets, st.data())
def test_the_same_subjects_make_the_same_document_in_whatever_order_they_are_asked_for(
    document: dict[str, Any], asked: frozenset[Subject], data: st.DataObject
) -> None:
    first, second = (data.draw(st.permutations(sorted(asked))) for _ in range(2))
    assert _amend(document, first).policy.text() == _amend(document, second).policy.text()


def test_a_subject_asked_for_twice_is_added_once() -> None:
    amendment = _amend({"Statement": []}, [SUBJECTS[0], SUBJECTS[0]])
    assert {subject: verdict.standing for subject, verdict in amendment.verdicts.items()} == {
        SUBJECTS[0]: Standing.ADDED
    }
    assert amendment.adds_any


def test_a_subject_that_is_kept_but_was_not_read_does_not_count_as_new() -> None:
    amendment = _amend({"Statement": []}, [SUBJECTS[0]], frozenset(SUBJECTS[:1]))
    assert amendment.policy.subjects(OWN) == {SUBJECTS[0]}
    assert not amendment.adds_any
