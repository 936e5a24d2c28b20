"""`plan`, `apply` and `report` in mode pod-identity on the rig: what they print is there, and is done."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person
from tests.e2e.observe import external_parts
from tests.e2e.pod_identity import associated, association, make_by_hand
from tests.e2e.replicas import api_server
from tests.e2e.scenes import create_account, create_namespace, label

pytestmark = pytest.mark.rig

NOT_SELECTED: dict[str, str | None] = {"internal.spaces.upbound.io/controlplane-name": None}
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
PODS_TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


@pytest.fixture
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, eks_lag=0) as running:
        trust = json.dumps({"Version": "2012-10-17", "Statement": [PODS_TRUST]})
        running.aws.admin_client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
        yield running


@pytest.fixture
def person(space: Space) -> Person:
    return Person(space, bindings=space.in_mode("pod-identity")["bindings"], cluster={"name": EKS_CLUSTER})


def _control_plane(space: Space) -> str:
    namespace = create_namespace(space)
    create_account(space, namespace)
    return namespace


def _let_pods_in(space: Space) -> None:
    """By an external statement: EKS takes no role that it may not assume."""
    policy = space.policy()
    document = json.dumps({**policy, "Statement": [*policy["Statement"], {**PODS_TRUST, "Sid": "Wide"}]})
    space.aws.admin_client("iam").update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=document)


def _namespaces(items: list[dict[str, Any]]) -> list[str]:
    return [one["namespace"] for one in items]


def test_from_nothing_to_associated_and_back_by_what_is_planned_and_approved(space: Space, person: Person) -> None:
    new, by_hand, of_addon = (_control_plane(space) for _ in range(3))
    _let_pods_in(space)
    make_by_hand(space, by_hand, space.roles[0])
    space.aws.give_to_addon(EKS_CLUSTER, make_by_hand(space, of_addon, space.role_arn("theirs")), ADDON)
    others = external_parts(space.aws.history("mxp-backup")[-1].document)
    before = space.aws.associations(EKS_CLUSTER)

    plan = person("plan", "-o", "json")
    assert plan.code == 3
    (role,) = plan.document["roles"]
    assert [(one["binding"], one["changed"]) for one in role["podStatements"]] == [("backup", False)]
    assert _namespaces(plan.document["associations"]["created"]) == [new]
    assert [(one["kind"], one["namespace"]) for one in plan.document["problems"]] == [
        ("association-in-the-way", of_addon)
    ]
    assert [(one["kind"], one["namespace"]) for one in plan.document["notes"]] == [
        ("external-association", by_hand)
    ]
    assert space.aws.associations(EKS_CLUSTER) == before, "a plan makes nothing"
    assert len(space.aws.history("mxp-backup")) == 2, "and writes nothing"

    applied = person("apply")
    assert applied.code == 4, "what a person must correct is left"
    assert f"+ control-plane  {new}/{SERVICE_ACCOUNT}" in applied.out
    assert "done: associations created or repaired: 1" in applied.out
    assert associated(space, new).role_arn == space.roles[0]
    assert space.aws.associations(EKS_CLUSTER)[:2] == before, "what others made is as it was"
    assert external_parts(space.aws.history("mxp-backup")[-1].document) == others
    assert len(space.aws.history("mxp-backup")) == 3, "one write"
    again = person("plan", "-o", "json")
    assert (again.code, again.document["changes"]) == (4, False)

    label(space, new, NOT_SELECTED)
    planned = person("plan", "-o", "json").document["associations"]["removed"]
    assert [(one["namespace"], one["why"]) for one in planned] == [(new, "no binding wants it in this role")]
    left = person("apply")
    assert "left to the reconciler, its grace and its limit, or to --approve: 1 to remove" in left.out
    assert association(space, new)
    assert "deleted" in person("apply", "--approve").out
    assert association(space, new) is None
    assert association(space, by_hand)


def test_what_was_changed_externally_is_shown_and_repaired(space: Space, person: Person) -> None:
    namespace = _control_plane(space)
    assert person("apply").code == 0
    whole, made = space.policy(), associated(space, namespace)
    *others, ours = space.policy()["Statement"]
    loosened = json.dumps({**whole, "Statement": [*others, {**ours, "Condition": {}}]})
    space.aws.admin_client("iam").update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=loosened)
    space.aws.admin_client("eks").update_pod_identity_association(
        clusterName=EKS_CLUSTER, associationId=made.id, roleArn=space.role_arn("theirs")
    )

    shown = person("plan")
    assert f"~ statement {ours['Sid']} of binding backup's pods: changed externally, to be repaired" in shown.out
    assert f"{namespace}/{SERVICE_ACCOUNT}  {made.id} -> {space.roles[0]}  it was given" in shown.out
    assert "associations to repair: 1" in shown.out
    told = {(one["role"].rsplit("/", 1)[1], one["finding"]) for one in _report(person) if one["association"]}
    assert told == {("mxp-backup", "not-associated"), ("theirs", "changed-externally")}

    applied = person("apply")
    assert applied.code == 0, applied.err
    assert space.policy() == whole
    assert associated(space, namespace).role_arn == space.roles[0]
    assert associated(space, namespace).id == made.id


def test_the_report_has_each_association_its_owner_and_the_statement_in_every_form(
    space: Space, person: Person
) -> None:
    new = _control_plane(space)
    assert person("apply").code == 0
    by_hand, of_addon, missing = (_control_plane(space) for _ in range(3))
    make_by_hand(space, by_hand, space.roles[0])
    space.aws.give_to_addon(EKS_CLUSTER, make_by_hand(space, of_addon, space.roles[0]), ADDON)
    assert person("apply").code == 0
    gone = associated(space, missing)
    space.aws.admin_client("eks").delete_pod_identity_association(clusterName=EKS_CLUSTER, associationId=gone.id)

    sid = space.policy()["Statement"][-1]["Sid"]
    lines = {one["namespace"]: one for one in _report(person) if one["namespace"]}
    said = {name: (one["finding"], one["owner"], one["sid"], one["difference"]) for name, one in lines.items()}
    assert said == {
        new: ("as-wanted", "this-installation", sid, False),
        by_hand: ("as-wanted", "external", sid, False),
        of_addon: ("as-wanted", "add-on", sid, False),
        missing: ("not-associated", None, None, True),
    }
    assert lines[new]["association"] == associated(space, new).id
    (statement,) = [one for one in _report(person) if one["finding"] == "pod-identity"]
    assert "of namespaces mxp-*-system of arn:aws:eks:" in statement["why"]

    rows = list(csv.DictReader(io.StringIO(person("report", "-o", "csv").out)))
    assert {row["namespace"]: row["association"] for row in rows if row["association"]} == {
        name: associated(space, name).id for name in (new, by_hand, of_addon)
    }
    table = person("report").out
    assert f"association {associated(space, new).id} (this-installation): binding backup" in table
    assert f"association {associated(space, of_addon).id} ({ADDON})" in " ".join(table.split())
    only = person("report", "--differences", "-o", "json").document["access"]
    assert [one["namespace"] for one in only] == [missing]


def _report(person: Person) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = person("report", "-o", "json").document["access"]
    return lines
