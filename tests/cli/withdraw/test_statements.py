"""Policies without managed statements: external ones stay, and where access is kept, it stays the same."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.judging import let_in
from tests.iam.policies import (
    OWN,
    ROLE,
    SUBJECTS,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
)
from tests.support.associating import BINDING, INSTALLATION, PODS
from webhook.cli.trust_statements import own_in
from webhook.cli.withdraw.statements import (
    ALLOWS_NOBODY,
    News,
    changed_externally,
    replacements,
    without_managed,
)
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy, canonical_policy
from webhook.model.bindings import Mode
from webhook.model.names import Subject

if TYPE_CHECKING:
    from rig.oracle import TrustOracle

ALL = own_in(ROLE, INSTALLATION)
"""Ours, with a statement for pods."""

whole_documents = st.one_of(external_documents, stored_documents, shared_documents)
any_documents = st.one_of(whole_documents, hand_edited_documents)


pods = st.sampled_from([(), (PODS.render(),)])


def with_pods(document: dict[str, Any], more: tuple[dict[str, Any], ...]) -> TrustPolicy:
    statements = [*TrustPolicy(document).statements, *more]
    return TrustPolicy({**document, "Statement": statements})


def external(policy: TrustPolicy) -> list[dict[str, Any]]:
    """By Sid alone: the program's own judgement may be wrong."""
    ours = {OWN.sid, PODS.sid}
    plain = {f"KeptAccess{sid[-8:]}" for sid in ours}
    return [one for one in policy.statements if one.get("Sid") not in {*ours, *plain, ALLOWS_NOBODY}]


@given(any_documents, pods, st.none() | subject_sets)
def test_nothing_managed_is_left_and_every_other_part_stays_in_its_order(
    document: dict[str, Any], more: tuple[dict[str, Any], ...], kept: frozenset[Subject] | None
) -> None:
    before = with_pods(document, more)
    after = without_managed(before, ALL, kept)
    assert not any(one.get("Sid") in {OWN.sid, PODS.sid} for one in after.statements)
    assert external(after) == external(before)
    assert {**after.document, "Statement": []} == {**before.document, "Statement": []}
    assert bool(after.statements) == bool(before.statements)
    assert without_managed(after, ALL, kept) is after


@given(whole_documents, pods)
def test_kept_access_is_the_same_for_every_token_and_needs_no_more_room(
    oracle: "TrustOracle", document: dict[str, Any], more: tuple[dict[str, Any], ...]
) -> None:
    before = with_pods(document, more)
    assert changed_externally(before, ALL) == ""
    after = without_managed(before, ALL, before.subjects(ALL))
    tokens = {**document, "Statement": [one for one in after.statements if "Service" not in one["Principal"]]}
    assert let_in(oracle, tokens) == let_in(oracle, {**document, "Statement": TrustPolicy(document).statements})
    assert after.size() <= before.size()
    kept = {
        one.plain["Sid"]: one.plain
        for one in replacements(before, ALL, before.subjects(ALL)).values()
        if one.plain
    }
    assert len(kept) == len({OWN.sid, PODS.sid} & {str(one.get("Sid")) for one in before.statements})
    for one in more:
        sid = f"KeptAccess{PODS.sid[-8:]}"
        assert kept[sid] == {**one, "Sid": sid}


def test_a_role_of_which_ours_is_the_only_statement_keeps_one_that_allows_nobody(oracle: "TrustOracle") -> None:
    for statement in (OWN.render_placeholder(), OWN.render(SUBJECTS)):
        policy = TrustPolicy({"Version": "2012-10-17", "Statement": [statement]})
        left = without_managed(policy, ALL, None)
        assert [one["Sid"] for one in left.statements] == [ALLOWS_NOBODY]
        assert let_in(oracle, left.document) == set()
        TrustPolicy.parse(left.document)
    assert (
        without_managed(TrustPolicy({"Statement": OWN.render_placeholder()}), ALL, frozenset()).statements[0][
            "Sid"
        ]
        == ALLOWS_NOBODY
    )


def test_what_an_earlier_run_has_kept_is_external_and_stays() -> None:
    first = TrustPolicy({"Version": "2012-10-17", "Statement": [OWN.render(SUBJECTS[:1])]})
    kept = without_managed(first, ALL, frozenset(SUBJECTS[:1]))
    again = TrustPolicy({**kept.document, "Statement": [*kept.statements, OWN.render(SUBJECTS[1:2])]})
    twice = without_managed(again, ALL, frozenset(SUBJECTS[1:2]))
    assert twice.statements[0] == kept.statements[0]
    assert [one["Sid"] for one in twice.statements] == [f"KeptAccess{OWN.sid[-8:]}", f"KeptAccess{OWN.sid[-8:]}2"]


@given(hand_edited_documents)
def test_a_statement_that_was_changed_is_named_and_a_whole_one_is_not(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    reason = changed_externally(policy, ALL)
    assert (OWN.sid in reason and "mxp-identity apply" in reason) == (not policy.is_whole(OWN))


def test_a_changed_statement_for_pods_is_named() -> None:
    loose = {**PODS.render(), "Condition": {}}
    assert PODS.sid in changed_externally(TrustPolicy({"Statement": [loose]}), ALL)


def test_statements_for_pods_are_ours_in_whichever_mode_the_binding_is_now() -> None:
    irsa = replace(INSTALLATION, bindings=(replace(BINDING, mode=Mode.IRSA),))
    own = own_in(ROLE, irsa)
    assert own.owns(PODS.render())
    assert own.pods == ()
    assert not own_in(ROLE, replace(irsa, eks=None)).owns(PODS.render())
    assert canonical_policy(
        without_managed(TrustPolicy({"Statement": [PODS.render()]}), own, frozenset()).document
    ) == canonical_policy({"Statement": [{**PODS.render(), "Sid": f"KeptAccess{PODS.sid[-8:]}"}]})


@pytest.mark.parametrize(
    ("written", "removed", "trusted"),
    [
        ((), (), {1}),
        ((0,), (), {0, 1}),  # wanted, and a read that is too old lacks it
        ((2,), (), {1}),  # a forged Lease adds nothing that no binding wants
        ((), (1,), set()),  # removed, and a read that is too old shows it
        ((), (3,), {1}),
    ],
)
def test_a_lease_adds_what_is_wanted_and_removes_what_is_not(
    written: tuple[int, ...], removed: tuple[int, ...], trusted: set[int]
) -> None:
    news = News()
    news.learn({SUBJECTS[one]: 1.0 for one in written}, {SUBJECTS[one]: 1.0 for one in removed})
    wanted = frozenset({SUBJECTS[0], SUBJECTS[3]})
    assert news.trusted(frozenset({SUBJECTS[1]}), wanted) == {SUBJECTS[one] for one in trusted}
    assert SUBJECTS[3] in news.trusted(frozenset({SUBJECTS[3]}), wanted), "wanted: a forged removal counts nothing"


def test_another_installations_and_another_clusters_statements_are_not_ours() -> None:
    other = OwnStatement.for_role(ROLE, INSTALLATION.issuer, "another")
    policy = TrustPolicy({"Statement": [other.render(SUBJECTS), OWN.render(SUBJECTS)]})
    assert without_managed(policy, ALL, None).statements == [other.render(SUBJECTS)]
