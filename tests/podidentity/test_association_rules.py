"""Which action each association needs, case by case."""

from __future__ import annotations

import pytest

from webhook.model.names import ClusterArn, RoleArn, Subject
from webhook.podidentity.association import (
    CLUSTER_TAG,
    Association,
    AssociationAction,
    Ownership,
    associations_that_fit,
)

CLUSTER = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
ELSEWHERE = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-test")
OWNER = Ownership(CLUSTER, "mxp-identity")
MANAGED = OWNER.tags()
ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
OTHER = "arn:aws:iam::123456789012:role/external"
SUBJECT = Subject("mxp-a-system", "mxp-controller")
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
ID = "a-0123456789abcdefg"


def found(role: str = ROLE.value, **more: object) -> Association:
    return Association(ID, SUBJECT, role, **more)  # type: ignore[arg-type]


CASES: dict[str, tuple[Association | None, AssociationAction, str]] = {
    "there is none": (None, AssociationAction.CREATE, ""),
    "managed, unchanged": (found(tags=MANAGED), AssociationAction.KEEP, ""),
    "managed, with an external tag beside": (found(tags={**MANAGED, "team": "x"}), AssociationAction.KEEP, ""),
    "managed, the role changed by hand": (found(OTHER, tags=MANAGED), AssociationAction.UPDATE, ""),
    "managed, session tags disabled by hand": (
        found(tags=MANAGED, session_tags=False),
        AssociationAction.UPDATE,
        "",
    ),
    "managed, given a target role by hand": (
        found(tags=MANAGED, target_role=OTHER),
        AssociationAction.CONFLICT,
        "delete it",
    ),
    "external, with the role": (found(), AssociationAction.ACCEPT, ""),
    "external, with another role": (
        found(OTHER),
        AssociationAction.CONFLICT,
        f"created externally names {OTHER}",
    ),
    "external, without session tags": (
        found(session_tags=False),
        AssociationAction.CONFLICT,
        "disables session tags",
    ),
    "external, passing on to another role": (
        found(target_role=OTHER),
        AssociationAction.CONFLICT,
        "passes on to",
    ),
    "an add-on's, with the role": (found(owner_arn=ADDON), AssociationAction.ACCEPT, ""),
    "an add-on's, with another role": (
        found(OTHER, owner_arn=ADDON),
        AssociationAction.CONFLICT,
        f"of add-on {ADDON}",
    ),
    "an add-on's with the managed tags": (
        found(OTHER, owner_arn=ADDON, tags=MANAGED),
        AssociationAction.CONFLICT,
        f"of add-on {ADDON}",
    ),
    "another installation's": (
        found(OTHER, tags=Ownership(CLUSTER, "canary").tags()),
        AssociationAction.CONFLICT,
        "of installation canary",
    ),
    "another cluster's by its tags": (
        found(OTHER, tags=Ownership(ELSEWHERE, "mxp-identity").tags()),
        AssociationAction.CONFLICT,
        f"in cluster {ELSEWHERE}",
    ),
    "half of the managed tags": (
        found(OTHER, tags={CLUSTER_TAG: CLUSTER.value}),
        AssociationAction.CONFLICT,
        "of installation ?",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_association_has_one_right_action(case: str) -> None:
    association, action, _ = CASES[case]
    assert OWNER.action_for(association, ROLE) is action


CONFLICTS = {
    case: (association, reason)
    for case, (association, action, reason) in CASES.items()
    if association and action is AssociationAction.CONFLICT
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_the_reason_of_a_conflict_names_the_association_its_owner_and_the_repair(case: str) -> None:
    association, expected = CONFLICTS[case]
    reason = OWNER.conflict_reason(association, ROLE)
    assert expected in reason
    assert ID in reason
    assert "delete it" in reason


def test_what_is_left_of_the_quota_is_never_negative() -> None:
    assert (associations_that_fit(0), associations_that_fit(4999), associations_that_fit(5001)) == (5000, 1, 0)
