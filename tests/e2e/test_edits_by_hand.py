"""Our statement changed by hand is put back; what others change in theirs stays, and is reported if it hurts."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, external_parts, is_trusted, logged, sts_answer
from tests.e2e.replicas import api_server, wait_until_all_are_named
from tests.e2e.scenes import (
    ROLE_ANNOTATION,
    account_path,
    create_account,
    create_namespace,
    kubectl_create,
    leases,
    serving,
)
from tests.proof.records import Record

Statement = dict[str, Any]

INTERVAL_S = 1.0
"""Shorter than in practice, so that tests need not wait for the default of 60 s."""
MARGIN_S = 1.0
REMEMBERED_S = 60.0
"""Seconds after a write of ours for which a read that lacks it is taken to be an old one."""
LAST_LOOK_S = 10.0
GRACE_S = 8.0


def _subjects(statement: Statement) -> tuple[dict[str, Any], str]:
    equals = statement["Condition"]["StringEquals"]
    return equals, next(key for key in equals if key.endswith(":sub"))


def _take_one_out(statement: Statement) -> None:
    equals, key = _subjects(statement)
    equals[key].pop()


def _drop_the_subjects(statement: Statement) -> None:
    equals, key = _subjects(statement)
    del equals[key]


def _drop_the_audience(statement: Statement) -> None:
    equals = statement["Condition"]["StringEquals"]
    del equals[next(key for key in equals if key.endswith(":aud"))]


def _loosen_to_a_pattern(statement: Statement) -> None:
    equals, key = _subjects(statement)
    del equals[key]
    statement["Condition"]["StringLike"] = {key: "system:serviceaccount:*"}


def _add_a_condition(statement: Statement) -> None:
    statement["Condition"]["IpAddress"] = {"aws:SourceIp": "192.0.2.0/24"}


EDITS: dict[str, Callable[[Statement], object]] = {
    "removed": lambda statement: statement.clear(),
    "one ServiceAccount taken out": _take_one_out,
    "subjects dropped": _drop_the_subjects,
    "audience dropped": _drop_the_audience,
    "loosened to a pattern": _loosen_to_a_pattern,
    "narrowed by a condition": _add_a_condition,
    "turned into a Deny": lambda statement: statement.update(Effect="Deny"),
    "more actions": lambda statement: statement.update(Action=["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]),
}
ELEMENTS = {
    "subjects dropped": "Condition",
    "audience dropped": "Condition",
    "loosened to a pattern": "Condition",
    "narrowed by a condition": "Condition",
    "turned into a Deny": "Effect",
    "more actions": "Action",
}
"""What the log names of an edit; where a subject or the whole statement was removed, it says that."""
STRANGER, RENAMED, ANNOTATIONS = "a stranger added", "our Sid renamed", "annotations"
ROLES = {name: f"mxp-backup-{number}" for number, name in enumerate([*EDITS, STRANGER, RENAMED, ANNOTATIONS])}
EXTERNAL = "arn:aws:iam::123456789012:role/external"


@pytest.fixture(scope="module")
def settled() -> Iterator[Space]:
    """A role for each edit, two control planes in each, all written longer ago than any replica remembers.

    Instead of waiting for a minute, the replica that wrote them is gone and its Leases are deleted.
    """
    with api_server() as cluster, Space(cluster=cluster, roles=list(ROLES.values())) as space:
        bindings = [_binding(space, role) for role in ROLES.values()]
        first = space.start_webhook(space.configuration(bindings=bindings))
        namespaces = [create_namespace(space, role=role) for role in ROLES.values() for _ in range(2)]
        for namespace in namespaces:
            create_account(space, namespace)
        wait_until_all_are_named(space, namespaces)
        first.process.kill()
        for lease in leases(space):
            name = lease["metadata"]["name"]
            space.cluster.api.delete(f"/apis/coordination.k8s.io/v1/namespaces/{OWN_NAMESPACE}/leases/{name}")
        often = {"interval": f"{INTERVAL_S:g}s", "pruneGrace": f"{GRACE_S:g}s"}
        second = space.start_webhook(space.configuration(bindings=bindings, reconciler=often))
        space.cluster.create([objects.service_account("default")])

        def known() -> float:
            return second.metrics().total("mxp_identity_trust_subjects")

        eventually(lambda: known() == len(namespaces), "it has read each role: an edit from now on is one to it")
        yield space


def _binding(space: Space, role: str) -> dict[str, Any]:
    """A role of its own for the namespaces that a label sends there."""
    (binding,) = space.configuration()["bindings"]
    namespaces = {"selector": {"matchLabels": {"role": role}}, "pattern": "mxp-*-system"}
    return {**binding, "name": role, "namespaces": namespaces, "roles": [space.role_arn(role)]}


@pytest.mark.rig
@pytest.mark.parametrize("name", EDITS)
def test_our_statement_changed_by_hand_is_put_back_within_an_interval(
    settled: Space, name: str, record: Record
) -> None:
    role = ROLES[name]
    whole = _own(settled, role)
    others = external_parts(_latest(settled, role))

    _edit(settled, role, EDITS[name])
    edited = time.monotonic()
    assert _own(settled, role) != whole

    eventually(lambda: _own(settled, role) == whole, "it is put back", timeout=INTERVAL_S + MARGIN_S)
    (replica,) = [one for one in settled.webhooks if one.process.running]
    reported = logged(replica, "trust_repaired", role_arn=settled.role_arn(role))[-1]
    assert ELEMENTS.get(name, "changed or removed externally") in reported["reason"]
    assert external_parts(_latest(settled, role)) == others
    stranger = settled.cluster.token("default", SERVICE_ACCOUNT, audience="sts.amazonaws.com")
    assert sts_answer(settled, settled.role_arn(role), stranger) == "AccessDenied"
    record(
        "our statement changed by hand is put back, interval 1 s, last write long ago",
        change=name,
        after_s=round(time.monotonic() - edited, 1),
    )


@pytest.mark.rig
def test_a_stranger_in_our_statement_leaves_it_after_the_grace(settled: Space) -> None:
    role = ROLES[STRANGER]
    whole = _own(settled, role)

    def add(statement: Statement) -> None:
        equals, key = _subjects(statement)
        equals[key].append("system:serviceaccount:mxp-stranger-system:mxp-controller")

    _edit(settled, role, add)
    edited = time.monotonic()
    eventually(lambda: _own(settled, role) == whole, "it leaves", timeout=GRACE_S + 3 * INTERVAL_S + MARGIN_S)
    assert time.monotonic() - edited >= GRACE_S - 0.1


@pytest.mark.rig
def test_our_statement_under_another_sid_is_external_and_trusts_the_same_subjects(settled: Space) -> None:
    role = ROLES[RENAMED]
    namespaces = _namespaces(settled, role)
    _edit(settled, role, lambda statement: statement.update(Sid="Adopted"))
    writes = len(settled.aws.history(role))
    passes = _passes(settled)
    eventually(lambda: _passes(settled) >= passes + 3, "three passes")
    assert len(settled.aws.history(role)) == writes, "nothing is written, because no subject lacks trust"
    assert all(is_trusted(settled, one, settled.role_arn(role)) for one in namespaces)


@pytest.mark.rig
@pytest.mark.parametrize("value", [None, ""], ids=["removed", "emptied"])
def test_an_annotation_removed_or_emptied_by_hand_is_put_back(settled: Space, value: str | None) -> None:
    namespace = _namespaces(settled, ROLES[ANNOTATIONS])[0]
    _annotate(settled, namespace, value)
    back = settled.role_arn(ROLES[ANNOTATIONS])
    eventually(lambda: annotation(settled, namespace) == back, "it is put back", timeout=INTERVAL_S + MARGIN_S)


@pytest.mark.rig
@pytest.mark.parametrize("value", [EXTERNAL, "mxp-backup"], ids=["an external role", "no ARN"])
def test_an_annotation_that_names_something_else_is_left_and_counted(settled: Space, value: str) -> None:
    namespace = _namespaces(settled, ROLES[ANNOTATIONS])[1]
    _annotate(settled, namespace, value)
    (replica,) = [one for one in settled.webhooks if one.process.running]

    def counted() -> bool:
        return replica.metrics().total("mxp_identity_service_accounts", match="external_role") == 1

    eventually(counted, "it is counted", timeout=2 * INTERVAL_S + MARGIN_S)
    assert annotation(settled, namespace) == value
    _annotate(settled, namespace, settled.role_arn(ROLES[ANNOTATIONS]))
    eventually(lambda: not counted(), "it is right again")
    assert is_trusted(settled, namespace, settled.role_arn(ROLES[ANNOTATIONS]))


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(400)
def test_an_edit_in_the_minute_after_our_write_is_put_back_when_the_minute_is_over(record: Record) -> None:
    """Until then it cannot be told from IAM answering an old policy, and trust that was written is not doubted."""
    with api_server() as cluster, Space(cluster=cluster) as space, _serving(space):
        namespaces = [create_namespace(space) for _ in range(2)]
        wait_until_all_are_named(space, namespaces)
        written = time.monotonic()
        whole = _own(space, "mxp-backup")
        _edit(space, "mxp-backup", lambda statement: statement.clear())
        limit = REMEMBERED_S + LAST_LOOK_S + INTERVAL_S
        eventually(lambda: _own(space, "mxp-backup") == whole, "it is put back", timeout=limit + MARGIN_S)
        record(
            "our statement removed just after we wrote it is put back",
            after_s=round(time.monotonic() - written, 1),
        )


@pytest.mark.rig
def test_a_principal_that_was_deleted_is_reported_with_its_place_and_trust_follows_its_removal() -> None:
    with api_server() as cluster, Space(cluster=cluster) as space, _serving(space) as webhook:
        user = _have_a_user_deleted(space)
        namespace = create_namespace(space)
        _, printed = kubectl_create(space, objects.service_account(namespace))

        (reason,) = [line for line in printed.splitlines() if line.startswith("Warning: mxp-identity: reason: ")]
        for words in ("MalformedPolicyDocument", user, "statement 3 (Sid Operators)"):
            assert words in reason
        lines = logged(webhook, "trust_not_written", outcome="malformed")
        assert f"{user} in statement 3 (Sid Operators)" in lines[0]["reason"]
        refused = {"operation": "UpdateAssumeRolePolicy", "code": "MalformedPolicyDocument"}
        metrics = webhook.metrics()
        assert metrics.total("mxp_identity_aws_request_duration_seconds_count", **refused) >= 1
        assert metrics.total("mxp_identity_grants_pending") == 1
        assert user in json.dumps(space.aws.admin_client("iam").get_role(RoleName="mxp-backup"), default=str)

        _put(space, "mxp-backup", space.policy()["Statement"][:2])
        eventually(lambda: is_trusted(space, namespace), "trust after the repair")


def _namespaces(space: Space, role: str) -> list[str]:
    """The control planes whose role it is."""
    found = space.cluster.api.get("/api/v1/namespaces", labelSelector=f"role={role}")["items"]
    return [item["metadata"]["name"] for item in found]


def _annotate(space: Space, namespace: str, value: str | None) -> None:
    """Set the annotation by hand; the API server does not call the program here, so only passes see it."""
    space.cluster.api.patch(account_path(namespace), {"metadata": {"annotations": {ROLE_ANNOTATION: value}}})


def _passes(space: Space) -> float:
    (replica,) = [one for one in space.webhooks if one.process.running]
    return replica.metrics().total("mxp_identity_pass_duration_seconds_count")


def _serving(space: Space) -> Any:
    return serving(space, reconciler={"interval": f"{INTERVAL_S:g}s"})


def _have_a_user_deleted(space: Space) -> str:
    """Let a third statement name a user, delete the user, and answer the id that the policy then shows."""
    user = space.aws.admin_client("iam").create_user(UserName="operator")["User"]
    statement = {
        "Sid": "Operators",
        "Effect": "Allow",
        "Principal": {"AWS": user["Arn"]},
        "Action": "sts:AssumeRole",
    }
    _put(space, "mxp-backup", [*space.policy()["Statement"], statement])
    space.aws.delete_principal(user["Arn"])
    return user["UserId"]


def _latest(space: Space, role: str) -> str:
    return space.aws.history(role)[-1].document


def _own(space: Space, role: str) -> list[Statement]:
    return [item for item in space.policy(role)["Statement"] if item.get("Sid", "").startswith("MxpIdentity")]


def _edit(space: Space, role: str, change: Callable[[Statement], object]) -> None:
    statements = copy.deepcopy(space.policy(role)["Statement"])
    (own,) = [item for item in statements if item.get("Sid", "").startswith("MxpIdentity")]
    change(own)
    _put(space, role, [item for item in statements if item])


def _put(space: Space, role: str, statements: list[Statement]) -> None:
    document = json.dumps({**space.policy(role), "Statement": statements})
    iam = space.aws.admin_client("iam")
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)
