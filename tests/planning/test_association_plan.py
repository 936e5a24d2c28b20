"""What a pass would do about associations, planned from snapshots: a table of situations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.iam.policies import ROLE
from tests.support.associating import (
    ADDON,
    BINDING,
    DANGLING,
    DENY_PODS,
    GONE,
    INSTALLATION,
    LOOSE,
    PODS,
    THEIRS,
    A,
    B,
    account,
    association,
    cluster,
)
from tests.support.pods import CLUSTER
from webhook.model.bindings import Mode
from webhook.planning.binding_matches import ProblemKind
from webhook.planning.plan import Plan, make_plan
from webhook.podidentity.association import QUOTA, FoundAssociations, Ownership

if TYPE_CHECKING:
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation


def _plan(cluster: ClusterSnapshot, account: AccountSnapshot, installation: Installation = INSTALLATION) -> Plan:
    return make_plan(installation, cluster, account)


def _summary(plan: Plan) -> dict[str, Any]:
    """What a plan says, as the table has it; what is empty is left out."""
    said = {
        "made": {item.subject.namespace: item.why for item in plan.associations.made},
        "corrected": {item.subject.namespace: item.why for item in plan.associations.repaired},
        "removed": {item.found.subject.namespace: item.why for item in plan.associations.removed},
        "missing": [one.binding for role in plan.roles for one in role.pods if one not in role.pods_changed],
        "changed": [one.binding for role in plan.roles for one in role.pods_changed],
        "repaired": [role.role.name for role in plan.roles if role.is_repaired],
        "added": [str(change.subject) for role in plan.roles for change in role.added],
        "annotated": [str(item.subject) for item in plan.annotations],
        "problems": [problem.kind for problem in plan.problems],
        "notes": [note.kind for note in plan.notes],
    }
    return {key: value for key, value in said.items() if value}


SELECTED = "binding backup selects it"
IRSA = replace(INSTALLATION, bindings=(replace(BINDING, mode=Mode.IRSA),))
ODD = "arn:aws:iam::123456789012:role/a!/*?/b"
DENY_OUTSIDE = {**DENY_PODS, "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-1234567890"}}}
CANARY = Ownership(CLUSTER, "canary").tags()
CASES: dict[str, tuple[Plan, dict[str, Any]]] = {
    "all is well": (_plan(cluster(A), account(association())), {}),
    "a control plane from before": (_plan(cluster(A), account()), {"made": {A.namespace: SELECTED}}),
    "nothing is there": (
        _plan(cluster(A), account(statements=[])),
        {"made": {A.namespace: SELECTED}, "missing": ["backup"]},
    ),
    "a Deny that only AWS can judge": (
        _plan(cluster(A), account(association(), statements=[PODS.render(), DENY_OUTSIDE])),
        {"problems": [ProblemKind.MAY_BE_DENIED]},
    ),
    "an association of ours that names no role": (
        _plan(cluster(A), account(association(role="no role"), association(B, role=""))),
        {
            "corrected": {A.namespace: "it was given no role"},
            "removed": {B.namespace: "its namespace is gone"},
        },
    ),
    "an association of ours whose role has a path that only IAM knows": (
        _plan(cluster(A), account(association(), association(B, role=ODD))),
        {"removed": {B.namespace: "its namespace is gone"}},
    ),
    "our statement for pods loosened": (
        _plan(cluster(A), account(association(), statements=[LOOSE])),
        {"changed": ["backup"]},
    ),
    "the role changed by hand": (
        _plan(cluster(A), account(association(role=THEIRS))),
        {"corrected": {A.namespace: f"it was given {THEIRS}"}},
    ),
    "session tags disabled by hand": (
        _plan(cluster(A), account(association(session_tags=False))),
        {"corrected": {A.namespace: "its session tags were disabled"}},
    ),
    "given a target role by hand": (
        _plan(cluster(A), account(association(target_role=THEIRS))),
        {"problems": [ProblemKind.TAKEN]},
    ),
    "made by hand and right": (
        _plan(cluster(A), account(association(ours=False))),
        {"notes": [ProblemKind.ASSOCIATION_OF_OTHERS]},
    ),
    "made by hand, of another role": (
        _plan(cluster(A), account(association(role=THEIRS, ours=False))),
        {"problems": [ProblemKind.TAKEN]},
    ),
    "an add-on's, tagged as ours": (
        _plan(cluster(A), account(association(role=THEIRS, owner_arn=ADDON))),
        {"problems": [ProblemKind.TAKEN]},
    ),
    "another installation's": (
        _plan(cluster(A), account(association(role=THEIRS, tags=CANARY))),
        {"problems": [ProblemKind.TAKEN]},
    ),
    "a namespace that is gone": (
        _plan(cluster(A), account(association(), association(GONE))),
        {"removed": {GONE.namespace: "its namespace is gone"}},
    ),
    "a namespace that is gone, and the association external": (
        _plan(cluster(A), account(association(), association(GONE, ours=False))),
        {},
    ),
    "a namespace that is gone, and the association an add-on's": (
        _plan(cluster(A), account(association(), association(GONE, owner_arn=ADDON))),
        {},
    ),
    "a new namespace whose ServiceAccount may still come": (
        _plan(replace(cluster(A, age=599.0), accounts={}), account(association())),
        {},
    ),
    "an older namespace whose ServiceAccount never came": (
        _plan(replace(cluster(A, age=601.0), accounts={}), account(association())),
        {"removed": {A.namespace: "its namespace has no such ServiceAccount"}},
    ),
    "a mode that was changed back": (
        _plan(cluster(A, annotation=ROLE.value), account(association(), statements=[PODS.render()]), IRSA),
        {"added": [str(A)]},  # its association stays for its pods, until `migrate` has replaced them
    ),
    "a Deny of all pods": (
        _plan(cluster(A), account(statements=[PODS.render(), DENY_PODS])),
        {"problems": [ProblemKind.DENIED]},
    ),
    "no room for our statement": (
        _plan(cluster(A), account(statements=[], quota=100)),
        {"problems": [ProblemKind.FULL]},
    ),
    "a deleted principal, and our statement missing": (
        _plan(cluster(A), account(statements=[DANGLING])),
        {"missing": ["backup"], "problems": [ProblemKind.DANGLING]},
    ),
    "a deleted principal, and our statement there": (
        _plan(cluster(A), account(statements=[DANGLING, PODS.render()])),
        {"made": {A.namespace: SELECTED}},
    ),
    "a role that is gone": (
        _plan(cluster(A), replace(account(), policies={}, unread={ROLE: "GetRole: NoSuchEntity"})),
        {"problems": [ProblemKind.UNREAD]},
    ),
    "associations that may not be listed": (
        _plan(cluster(A), replace(account(), associations=FoundAssociations(unread="AccessDenied"))),
        {"problems": [ProblemKind.ASSOCIATIONS_UNREAD]},
    ),
    "a cluster that has room for one more": (
        _plan(cluster(A, B), account(there=QUOTA - 1)),
        {"made": {A.namespace: SELECTED}, "problems": [ProblemKind.FULL]},
    ),
    "a full cluster": (
        _plan(cluster(A, B), account(there=QUOTA)),
        {"problems": [ProblemKind.FULL, ProblemKind.FULL]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_says_what_is_to_be_done_about_associations_and_what_only_a_person_can_do(case: str) -> None:
    plan, expected = CASES[case]
    assert _summary(plan) == expected


def test_changes_and_removals_of_associations_count_as_those_of_trust_do() -> None:
    plan = _plan(cluster(), account(association(GONE)))
    assert (plan.has_changes, plan.removals) == (True, 1)
    assert _plan(cluster(A), account()).has_changes
    assert not _plan(cluster(A), account(association())).has_changes


def test_the_statement_for_pods_says_nothing_of_the_one_that_names_subjects() -> None:
    """A role of bindings in both modes: an edit of one statement is not reported of the other."""
    irsa = replace(BINDING, name="others", service_account="etcd", mode=Mode.IRSA)
    both = replace(INSTALLATION, bindings=(BINDING, irsa))
    named = both.own_in(ROLE).render([A])
    plan = make_plan(both, cluster(A), account(association(), statements=[named, LOOSE]))
    (change,) = plan.roles
    assert (change.is_repaired, [one.binding for one in change.pods_changed]) == (False, ["backup"])
    assert change.amended.has_whole(PODS)
