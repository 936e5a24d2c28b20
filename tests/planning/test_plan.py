"""What a pass would do, planned from snapshots: a table of situations, and what holds of every plan."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    ISSUER,
    OTHER_CLUSTER,
    OWN,
    ROLE,
    documents,
    external_statements,
    hand_edited_documents,
    shared_documents,
)
from webhook.iam.trust_policy import TrustPolicy, canonical
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement
from webhook.planning.binding_matches import ProblemKind
from webhook.planning.plan import Plan, make_plan
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation

NAME = "mxp-controller"
A, B, GONE = (Subject(f"mxp-{name}-system", NAME) for name in ("a", "b", "gone"))
SECOND = RoleArn("arn:aws:iam::123456789012:role/mxp-backup-2")
EVERY_PLANE = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
LABELLED = NamespaceSelector((Requirement("plane", Operator.EXISTS),))


def _binding(*roles: RoleArn, **changes: Any) -> Binding:
    return replace(Binding("backup", NAME, EVERY_PLANE, Mode.IRSA, roles or (ROLE,)), **changes)


def _cluster(annotations: dict[Subject, str | None], **labels: str) -> ClusterSnapshot:
    return ClusterSnapshot(
        {one.namespace: LiveNamespace(one.namespace, "uid", labels) for one in annotations},
        {(one.namespace, NAME): Account(one.namespace, NAME, role) for one, role in annotations.items()},
    )


def _policy(*statements: dict[str, Any]) -> TrustPolicy:
    return TrustPolicy({"Version": "2012-10-17", "Statement": list(statements)})


def _account(*statements: dict[str, Any], quota: int = 2048, second: TrustPolicy | None = None) -> AccountSnapshot:
    policies = {ROLE: _policy(*statements)}
    return AccountSnapshot(policies | ({SECOND: second} if second else {}), quota=quota)


def _plan(
    annotations: dict[Subject, str | None], account: AccountSnapshot, *bindings: Binding, **labels: str
) -> Plan:
    installation = Installation("mxp-identity", ISSUER, bindings or (_binding(),))
    return make_plan(installation, _cluster(annotations, **labels), account)


def _summary(plan: Plan) -> dict[str, Any]:
    """What a plan says, as the table has it; what is empty is left out."""
    said = {
        "added": {str(change.subject) for role in plan.roles for change in role.added},
        "removed": {str(change.subject): change.why for role in plan.roles for change in role.removed},
        "repaired": [role.role.name for role in plan.roles if role.is_repaired],
        "annotated": {str(item.subject): (item.role.name, item.replacing) for item in plan.annotations},
        "problems": [problem.kind for problem in plan.problems],
        "notes": [note.kind for note in plan.notes],
    }
    return {key: value for key, value in said.items() if value}


def _without_account(age: float) -> Plan:
    """The plan for a trusted subject whose namespace is `age` seconds old and has no ServiceAccount."""
    namespaces = {A.namespace: LiveNamespace(A.namespace, "uid", {}, created=1000.0)}
    installation = Installation("mxp-identity", ISSUER, (_binding(),))
    return make_plan(installation, ClusterSnapshot(namespaces, {}, 1000.0 + age), _account(OWN.render([A])))


EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/by-hand"
DENY: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "sts:*"}
OUTSIDE: dict[str, Any] = {**DENY, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}
DANGLING: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE123"},
    "Action": "sts:AssumeRole",
}
LOOSE = {**OWN.render([A]), "Condition": {"StringEquals": {OWN.subject_key: [str(A)]}}}
FILLING = {**DANGLING, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Sid": "x" * 1700}
TRUSTING = _policy(OWN.render([A]))

CASES: dict[str, tuple[Plan, dict[str, Any]]] = {
    "all is well": (_plan({A: ROLE.value}, _account(OWN.render([A]))), {}),
    "a control plane from before": (
        _plan({A: None}, _account()),
        {"added": {str(A)}, "annotated": {str(A): ("mxp-backup", None)}},
    ),
    "a Deny that only AWS can judge": (
        _plan({A: None}, _account(OUTSIDE)),
        {
            "added": {str(A)},
            "annotated": {str(A): ("mxp-backup", None)},
            "problems": [ProblemKind.MAY_BE_DENIED],
        },
    ),
    "a Deny that only AWS can judge of one who is trusted": (
        _plan({A: ROLE.value}, _account(OWN.render([A]), OUTSIDE)),
        {"problems": [ProblemKind.MAY_BE_DENIED]},
    ),
    "an annotation without trust": (_plan({A: ROLE.value}, _account()), {"added": {str(A)}}),
    "a namespace that is gone": (
        _plan({}, _account(OWN.render([GONE]))),
        {"removed": {str(GONE): "its namespace is gone"}},
    ),
    "our statement without its audience": (_plan({A: ROLE.value}, _account(LOOSE)), {"repaired": ["mxp-backup"]}),
    "a role that was annotated by hand": (
        _plan({A: EXTERNAL_ROLE}, _account()),
        {"problems": [ProblemKind.EXTERNAL_ANNOTATION]},
    ),
    "a role by hand that the binding overrides": (
        _plan({A: EXTERNAL_ROLE}, _account(), _binding(existing_annotation=ExistingAnnotation.OVERRIDE)),
        {"added": {str(A)}, "annotated": {str(A): ("mxp-backup", EXTERNAL_ROLE)}},
    ),
    "a role by hand that the binding forbids": (
        _plan({A: EXTERNAL_ROLE}, _account(), _binding(existing_annotation=ExistingAnnotation.DENY)),
        {"problems": [ProblemKind.EXTERNAL_ANNOTATION]},
    ),
    "a Deny": (_plan({A: ROLE.value}, _account(DENY)), {"problems": [ProblemKind.DENIED]}),
    "no room": (_plan({A: ROLE.value}, _account(quota=100)), {"problems": [ProblemKind.FULL]}),
    "no room in the first role": (
        _plan({A: ROLE.value}, _account(FILLING, second=_policy()), _binding(ROLE, SECOND)),
        {"added": {str(A)}, "annotated": {str(A): ("mxp-backup-2", ROLE.value)}},
    ),
    "trusted in another role of the pool": (
        _plan({A: ROLE.value}, _account(second=TRUSTING), _binding(ROLE, SECOND)),
        {"annotated": {str(A): ("mxp-backup-2", ROLE.value)}},
    ),
    "trusted in two roles of the pool": (
        _plan({A: ROLE.value}, _account(OWN.render([A]), second=TRUSTING), _binding(ROLE, SECOND)),
        {"removed": {str(A): "its annotation names another role of its binding, which trusts it"}},
    ),
    "a repair for which others left no room": (
        _plan({A: ROLE.value}, _account(LOOSE, quota=100)),
        {"problems": [ProblemKind.FULL]},
    ),
    "no room where it is annotated, and the other role cannot be read": (
        _plan(
            {A: ROLE.value},
            AccountSnapshot({ROLE: _policy(FILLING)}, {SECOND: "GetRole: AccessDenied"}, 2048),
            _binding(ROLE, SECOND),
        ),
        {"problems": [ProblemKind.UNREAD]},
    ),
    "a new namespace whose ServiceAccount may still come": (_without_account(age=599.0), {}),
    "an older namespace whose ServiceAccount never came": (
        _without_account(age=601.0),
        {"removed": {str(A): "its namespace has no such ServiceAccount"}},
    ),
    "a deleted principal beside a change": (
        _plan({A: ROLE.value}, _account(DANGLING)),
        {"added": {str(A)}, "problems": [ProblemKind.DANGLING]},
    ),
    "a deleted principal and nothing to change": (_plan({A: ROLE.value}, _account(DANGLING, OWN.render([A]))), {}),
    "a role that is gone": (
        _plan({A: ROLE.value}, AccountSnapshot({}, {ROLE: "GetRole: NoSuchEntity"}, 2048)),
        {"problems": [ProblemKind.UNREAD]},
    ),
    "annotated, but not selected": (
        _plan({A: ROLE.value}, _account(), _binding(namespaces=LABELLED)),
        {"problems": [ProblemKind.NOT_SELECTED]},
    ),
    "not selected": (
        _plan({A: None}, _account(), _binding(namespaces=LABELLED)),
        {"notes": [ProblemKind.NOT_SELECTED]},
    ),
    "two bindings with different roles": (
        _plan(
            {A: ROLE.value},
            _account(OWN.render([A])),
            _binding(namespaces=LABELLED),
            _binding(SECOND, name="later"),
            plane="a",
        ),
        {"notes": [ProblemKind.AMBIGUOUS]},
    ),
    "a binding that only annotates": (
        _plan({A: None}, AccountSnapshot({}), _binding(mode=Mode.ANNOTATE)),
        {"annotated": {str(A): ("mxp-backup", None)}},
    ),
    "another cluster's statement": (_plan({}, _account(OTHER_CLUSTER.render([GONE]))), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_says_what_is_to_be_done_and_what_only_a_person_can_do(case: str) -> None:
    plan, expected = CASES[case]
    assert _summary(plan) == expected


subjects = st.sampled_from([Subject(f"mxp-{name}-system", NAME) for name in ("a", "ab", "b", "c", "d")])
annotations = st.dictionaries(subjects, st.sampled_from([None, ROLE.value, SECOND.value, EXTERNAL_ROLE]))
policies = documents(external_statements) | shared_documents | hand_edited_documents
accounts = st.builds(
    lambda first, second, quota: AccountSnapshot({ROLE: first, SECOND: second}, quota=quota),
    policies.map(TrustPolicy),
    policies.map(TrustPolicy),
    st.sampled_from([0, 700, 1400, 2048, 8192]),
)
installations = st.builds(
    lambda roles, existing: Installation(
        "mxp-identity", ISSUER, (_binding(*roles, existing_annotation=existing),)
    ),
    st.sampled_from([(ROLE,), (ROLE, SECOND)]),
    st.sampled_from(ExistingAnnotation),
)


@given(installations, annotations.map(_cluster), accounts)
def test_a_plan_carried_out_leaves_nothing_to_do(
    installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot
) -> None:
    """What a full policy had no room for may get the room of removals: that is the second plan."""
    for _ in range(3):
        plan = make_plan(installation, cluster, account)
        cluster, account = _carried_out(plan, cluster, account)
    assert not make_plan(installation, cluster, account).has_changes


@given(installations, annotations.map(_cluster), accounts)
def test_a_plan_never_touches_an_external_statement(
    installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot
) -> None:
    for change in make_plan(installation, cluster, account).roles:
        for policy in (change.amended, change.after):
            assert _others(policy) == _others(change.before)
            assert {**policy.document, "Statement": 0} == {**change.before.document, "Statement": 0}


@given(installations, annotations.map(_cluster), accounts)
def test_a_plan_trusts_only_what_is_wanted_and_no_policy_grows_over_its_quota(
    installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot
) -> None:
    wanted = {Subject(*key) for key in cluster.accounts}
    for change in make_plan(installation, cluster, account).roles:
        assert {item.subject for item in change.added} <= wanted
        assert change.after.subjects(change.own) <= wanted
        assert change.amended.size() <= max(account.quota, change.before.size())


def _others(policy: TrustPolicy) -> list[Any]:
    return [canonical(statement) for statement in policy.statements if not OWN.owns(statement)]


def _carried_out(
    plan: Plan, cluster: ClusterSnapshot, account: AccountSnapshot
) -> tuple[ClusterSnapshot, AccountSnapshot]:
    accounts = dict(cluster.accounts)
    for item in plan.annotations:
        key = (item.subject.namespace, item.subject.service_account)
        accounts[key] = replace(accounts[key], role_annotation=item.role.value)
    policies = {**account.policies, **{change.role: change.after for change in plan.roles}}
    return replace(cluster, accounts=accounts), replace(account, policies=policies)
