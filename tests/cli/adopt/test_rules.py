"""Which statements move, which wildcards are replaced, and that no ServiceAccount is without access after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.iam.policies import OWN, ROLE, SUBJECTS, as_stored, documents, external_statements
from tests.support.hand_written import by_token, guided, wildcard
from webhook.cli.adopt.rules import AdoptingStatement, RoleView, adopt_role, objection, relying_on
from webhook.iam.external import ExternalStatements
from webhook.iam.statement import PodStatement
from webhook.iam.trust_policy import TrustPolicy, canonical
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, Grant
from webhook.model.names import AUDIENCE, ClusterArn, RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector

if TYPE_CHECKING:
    from collections.abc import Collection

ONE, TWO, THREE = SUBJECTS[:3]
PATTERN = "system:serviceaccount:mxp-*-system:mxp-controller"
EVERY = "system:serviceaccount:*:*"
OPERATORS = {"Sid": "Ops", "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
ROOMY = 20000
WANTED = frozenset(SUBJECTS[:3])


def view(
    *statements: dict[str, Any], wanted: Collection[Subject] = WANTED, quota: int = ROOMY, **changes: Any
) -> RoleView:
    """A role with these statements, in which the cluster wants some of the ServiceAccounts that it has."""
    there = RoleView(
        ROLE,
        TrustPolicy({"Version": "2012-10-17", "Statement": list(statements)}),
        OWN,
        quota,
        lambda subject: "" if subject in wanted else "its namespace is gone",
        frozenset(wanted),
        dict.fromkeys(SUBJECTS, False) | dict.fromkeys(wanted, True),
    )
    return replace(there, **changes)


def allowed(policy: TrustPolicy, own: Any = OWN) -> set[Subject]:
    """The ServiceAccounts that may assume the role, by the managed statement or another."""
    external = ExternalStatements(policy, own)
    effects = {one: external.effects_on(one) for one in SUBJECTS}
    named = policy.effective_subjects(own)
    return {one for one, effect in effects.items() if (one in named or effect.grant) and not effect.denial}


def test_four_statements_of_the_guide_fill_a_policy_and_one_managed_statement_has_room_for_fourteen_more() -> None:
    planes = [
        Subject(f"mxp-{number:08d}-0000-4000-8000-000000000000-system", "mxp-controller") for number in range(4)
    ]
    found = adopt_role(
        view(*(guided(OWN, one) for one in planes), wanted=planes, quota=2048), (), replace_wildcards=False
    )
    assert found.after.document["Statement"] == [OWN.render(planes)]
    assert (found.room_before, found.room_after) == (0, 14)
    assert found.after.size() < found.before.size() <= 2048


def test_everything_else_keeps_its_content_and_its_order() -> None:
    pods = PodStatement(
        "mxp-identity",
        "backup",
        ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod"),
        "mxp-controller",
        NamePattern("mxp-*-system"),
    )
    wide, stale = wildcard(OWN, PATTERN, sid="Wide"), guided(OWN, SUBJECTS[5])
    there = view(OPERATORS, guided(OWN, ONE), pods.render(), OWN.render([TWO]), wide, guided(OWN, THREE), stale)
    there = replace(there, own=replace(OWN, pods=(pods,)))
    found = adopt_role(there, (), replace_wildcards=False)
    assert found.after.document == {
        "Version": "2012-10-17",
        "Statement": [OPERATORS, pods.render(), OWN.render([ONE, TWO, THREE]), wide, stale],
    }
    assert [one.place.index for one in found.taken] == [1, 5]
    assert [(one.place.index, one.why) for one in found.left] == [
        (4, f"it allows {PATTERN}: --replace-wildcards replaces it"),
        (6, "kube-system/default: its namespace is gone"),
    ]


def test_a_statement_that_names_one_unwanted_service_account_stays_whole() -> None:
    found = adopt_role(view(guided(OWN, ONE, SUBJECTS[5])), (), replace_wildcards=True)
    assert not found.has_changes
    assert found.after is found.before
    assert [one.why for one in found.left] == ["kube-system/default: its namespace is gone"]


def test_what_a_person_keeps_by_its_sid_stays() -> None:
    there = view(guided(OWN, ONE, sid="ByHand"), guided(OWN, TWO, sid="Other"), wildcard(OWN, EVERY, sid="Wide"))
    found = adopt_role(there, {"ByHand", "Wide"}, replace_wildcards=True)
    assert [one.place.sid for one in found.taken] == ["Other"]
    assert [(one.place.sid, one.why) for one in found.left] == [
        ("ByHand", "it is kept, as --keep says"),
        ("Wide", "it is kept, as --keep says"),
    ]


def test_a_wildcard_is_replaced_by_the_wanted_and_the_plan_names_those_that_lose_access() -> None:
    there = view(guided(OWN, ONE), wildcard(OWN, PATTERN), accounts={**dict.fromkeys(SUBJECTS, False), TWO: True})
    there = replace(there, relying=frozenset([ONE, TWO]))
    found = adopt_role(there, (), replace_wildcards=True)
    assert found.after.document["Statement"] == [OWN.render([ONE, TWO])]
    assert [(one.subject, one.is_annotated) for one in found.losing] == [(THREE, False)]
    assert [(one.place.index, sorted(one.subjects)) for one in found.taken] == [(0, [ONE]), (1, [ONE, TWO])]


def test_those_that_use_the_role_are_named_first_among_those_that_lose_access() -> None:
    there = view(
        wildcard(OWN, EVERY), wanted=[ONE], accounts={**dict.fromkeys(SUBJECTS, False), SUBJECTS[5]: True}
    )
    found = adopt_role(there, (), replace_wildcards=True)
    assert found.losing[0].subject == SUBJECTS[5]
    assert found.losing[0].is_annotated
    assert {one.subject for one in found.losing} == {*SUBJECTS} - {ONE}


def test_one_that_a_deny_denies_loses_nothing_and_keeps_no_wildcard() -> None:
    deny = {**guided(OWN, ONE), "Effect": "Deny"}
    found = adopt_role(view(wildcard(OWN, PATTERN), deny), (), replace_wildcards=True)
    assert found.after.document["Statement"] == [deny, OWN.render([TWO, THREE])]
    assert found.losing == ()
    assert objection(found.before, found.after, found.own, WANTED, WANTED.__contains__) == ""


def test_a_wildcard_stays_where_not_all_that_need_it_have_room() -> None:
    planes = [Subject(f"mxp-{number:036d}-system", "mxp-controller") for number in range(20)]
    there = view(guided(OWN, planes[0]), wildcard(OWN, PATTERN), wanted=planes, quota=2048)
    found = adopt_role(there, (), replace_wildcards=True)
    assert [one.place.index for one in found.taken] == [0], "the exact one moves all the same"
    assert found.left[0].why == (
        f"it allows {PATTERN}, and 2 of the 20 ServiceAccounts that need it have no room in the managed "
        "statement: raise IAM quota L-C07B4B0D (Role trust policy length)"
    )


def test_a_wildcard_stays_that_a_binding_in_mode_annotate_relies_on() -> None:
    found = adopt_role(view(wildcard(OWN, EVERY), only_annotated_by="bare"), (), replace_wildcards=True)
    assert not found.has_changes
    assert found.left[0].why == (
        f"it allows {EVERY}, and binding bare only annotates, so its ServiceAccounts need it"
    )


def test_nothing_moves_where_iam_would_refuse_the_policy() -> None:
    found = adopt_role(view(guided(OWN, ONE), quota=300), (), replace_wildcards=False)
    assert not found.has_changes
    assert found.left[0].why.startswith("moved, the policy would take ")


@pytest.mark.parametrize("replace_wildcards", [False, True])
def test_taken_over_again_there_is_nothing_to_do(*, replace_wildcards: bool) -> None:
    there = view(OPERATORS, guided(OWN, ONE), guided(OWN, TWO, THREE), wildcard(OWN, PATTERN))
    first = adopt_role(there, (), replace_wildcards=replace_wildcards)
    again = adopt_role(replace(there, policy=first.after), (), replace_wildcards=replace_wildcards)
    assert first.has_changes
    assert not again.has_changes


hand_written = st.one_of(
    st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3, unique=True).map(lambda some: guided(OWN, *some)),
    st.sampled_from([PATTERN, EVERY, "system:serviceaccount:mxp-a*:*"]).map(lambda one: wildcard(OWN, one)),
    st.just(by_token(OWN, {"StringEquals": {OWN.audience_key: AUDIENCE}})),
    external_statements,
)
managed = st.frozensets(st.sampled_from(SUBJECTS), max_size=3).flatmap(
    lambda some: as_stored(OWN.render(some)).map(lambda one: [one]) if some else st.just([])
)
mixed = documents(hand_written, managed)
subject_sets = st.frozensets(st.sampled_from(SUBJECTS))
of_the_guide = example({"Version": "2012-10-17", "Statement": [OPERATORS, guided(OWN, ONE, TWO)]}, WANTED)
"""Few random documents have a statement that moves: one is tried each time."""


@of_the_guide
@given(mixed, subject_sets)
def test_what_moves_changes_for_no_service_account_whether_it_may_assume_the_role(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    there = replace(view(wanted=wanted), policy=TrustPolicy.parse(document))
    found = adopt_role(there, (), replace_wildcards=False)
    assert allowed(found.after, found.own) == allowed(found.before)
    assert_others_stay(found.before, found.after, found.own)
    assert objection(found.before, found.after, found.own, (), wanted.__contains__) == ""


@of_the_guide
@given(mixed, subject_sets)
def test_a_replaced_wildcard_costs_access_only_those_that_the_plan_names(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    there = replace(view(wanted=wanted), policy=TrustPolicy.parse(document))
    found = adopt_role(there, (), replace_wildcards=True)
    before, after = allowed(found.before), allowed(found.after, found.own)
    assert after <= before
    losing = {one.subject for one in found.losing}
    assert before - after == losing & before
    assert losing.isdisjoint(wanted)
    assert_others_stay(found.before, found.after, found.own)
    assert objection(found.before, found.after, found.own, wanted, wanted.__contains__) == ""


def assert_others_stay(before: TrustPolicy, after: TrustPolicy, own: AdoptingStatement) -> None:
    """Check that what is not taken over is there as it was and in its order, and what is beside statements."""
    staying = [one for one in before.statements if not own.owns(one)]
    there = [one for one in after.statements if one.get("Sid") != OWN.sid]
    assert list(map(canonical, there)) == list(map(canonical, staying))
    assert there == staying
    rest = [{key: value for key, value in one.document.items() if key != "Statement"} for one in (before, after)]
    assert rest[0] == rest[1]


def test_a_write_is_objected_to_that_names_an_unwanted_or_drops_a_wanted_service_account() -> None:
    before = view(guided(OWN, ONE), wildcard(OWN, PATTERN)).policy
    own = AdoptingStatement.over(OWN, before.statements)
    named = before.with_subjects(own, [ONE])
    assert objection(before, named, own, [ONE], {ONE}.__contains__) == ""
    assert objection(before, named, own, [ONE], {TWO}.__contains__) == (
        "mxp-a-system/mxp-controller is no longer wanted in it: run the command again"
    )
    assert objection(before, before.with_subjects(own, [TWO]), own, (), {ONE}.__contains__) == (
        "mxp-a-system/mxp-controller would lose its access: run the command again"
    )
    assert objection(before, named, own, [ONE, TWO], {ONE}.__contains__).startswith(
        "mxp-ab-system/mxp-controller would lose its access, because there is no room for it: raise IAM quota"
    )


def test_a_service_account_relies_on_the_role_that_it_is_annotated_with_or_that_is_its_only_one() -> None:
    selector = NamespaceSelector((), NamePattern("*"))
    other = RoleArn("arn:aws:iam::123456789012:role/other")
    lone = Binding("lone", "mxp-controller", selector, Mode.IRSA, (ROLE,))
    pool = Binding("pool", "mxp-controller", selector, Mode.IRSA, (ROLE, other))
    accounts = [
        Account(ONE.namespace, ONE.service_account, ROLE.value),
        Account(TWO.namespace, TWO.service_account, other.value),
    ]
    grants = [Grant(ONE, pool, ROLE), Grant(TWO, pool, other), Grant(THREE, lone), Grant(SUBJECTS[3], pool)]
    assert relying_on(ROLE, accounts, grants, lambda _: True) == {ONE, THREE}
    assert relying_on(ROLE, accounts, grants, {THREE}.__contains__) == {THREE}
