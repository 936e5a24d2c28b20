"""The main promise, for many control planes made one after another without pause."""

from collections.abc import Sequence

import pytest
from botocore.exceptions import ClientError

from rig.aws.faults import Fault, Reorder, Stale
from rig.kubernetes import objects
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import created, external_parts, projected_token, sts_answer, variables
from tests.proof.records import Record

CONDITIONS: dict[str, tuple[Fault, ...]] = {
    "plain": (),
    "arrays reordered": (Reorder(),),
    "GetRole 3 s stale": (Stale(seconds=3, actions=("GetRole",)),),
}


@pytest.mark.rig
def test_25_control_planes_in_a_row_have_their_identity_at_once_while_iam_reorders_and_is_stale(
    roomy_space: Space,
) -> None:
    _make_control_planes(roomy_space, 25, [fault for faults in CONDITIONS.values() for fault in faults])


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("faults", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_200_control_planes_in_a_row_have_their_identity_at_once(
    roomy_space: Space, faults: tuple[Fault, ...], record: Record
) -> None:
    seen = _make_control_planes(roomy_space, 200, faults)
    record(
        "200 control planes made in a row: their pods have an AWS identity that works, at their first try", **seen
    )


def _is_old_enough(space: Space) -> bool:
    """Whether GetRole finds the role, which a stale answer does not while it is young."""
    try:
        space.aws.admin_client("iam").get_role(RoleName="mxp-backup")
    except ClientError:
        return False
    return True


def _make_control_planes(space: Space, count: int, faults: Sequence[Fault]) -> dict[str, int]:
    """Make them and assert that all is well; answers what was counted."""
    webhook = space.start_webhook()
    space.register(webhook.url, "Fail")
    for fault in faults:
        space.aws.switch_on(fault)
    eventually(lambda: _is_old_enough(space), "the role is older than the staleness of reads")
    namespaces = []
    for number in range(count):
        items = objects.control_plane(f"control-plane-{number}")
        space.cluster.create(items)
        namespaces.append(items[0]["metadata"]["name"])

    accepted = 0
    for namespace in namespaces:
        space.cluster.wait_for_deployment(namespace, objects.SERVICE_ACCOUNT, timeout=180)
        (pod,) = space.cluster.pods(namespace)
        role = variables(pod)["AWS_ROLE_ARN"]
        assert sts_answer(space, role, projected_token(space, pod)) == "OK"
        accepted += 1

    history = space.aws.history("mxp-backup")
    documents = {external_parts(write.document) for write in history}
    assert len(documents) == 1, "an external statement changed"
    pods = created(space, "pods", namespaces)
    assert set(pods.values()) == {1}
    assert set(created(space, "replicasets", namespaces).values()) == {1}
    assert set(space.webhook_calls()) == {"200"}
    return {
        "control_planes": len(namespaces),
        "pods_ever_made": sum(pods.values()),
        "accepted_by_STS": accepted,
        "policies_stored": len(history),
        "with_other_statements_changed": len(documents) - 1,
        "GetRole_calls": space.aws.count("GetRole"),
        "UpdateAssumeRolePolicy_calls": space.aws.count("UpdateAssumeRolePolicy"),
    }
