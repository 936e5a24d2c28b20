"""The main promise, for many control planes made one after another without pause."""

import pytest

from rig.aws.faults import Fault, Reorder, Stale
from rig.kubernetes import objects
from rig.space import Space
from tests.e2e.observe import created, foreign_parts, projected_token, sts_answer, variables

CONDITIONS: dict[str, tuple[Fault, ...]] = {
    "plain": (),
    "arrays reordered": (Reorder(),),
    "GetRole 3 s stale": (Stale(seconds=3, actions=("GetRole",)),),
}

conditions = pytest.mark.parametrize("faults", CONDITIONS.values(), ids=CONDITIONS.keys())


@pytest.mark.rig
@conditions
def test_25_control_planes_in_a_row_have_their_identity_at_once(
    roomy_space: Space, faults: tuple[Fault, ...]
) -> None:
    _make_control_planes(roomy_space, 25, faults)


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(900)
@conditions
def test_200_control_planes_in_a_row_have_their_identity_at_once(
    roomy_space: Space, faults: tuple[Fault, ...]
) -> None:
    _make_control_planes(roomy_space, 200, faults)


def _make_control_planes(space: Space, count: int, faults: tuple[Fault, ...]) -> None:
    webhook = space.start_webhook()
    space.register(webhook.url, "Fail")
    for fault in faults:
        space.aws.switch_on(fault)
    namespaces = []
    for number in range(count):
        items = objects.control_plane(f"control-plane-{number}")
        space.cluster.create(items)
        namespaces.append(items[0]["metadata"]["name"])

    for namespace in namespaces:
        space.cluster.wait_for_deployment(namespace, objects.SERVICE_ACCOUNT, timeout=180)
        (pod,) = space.cluster.pods(namespace)
        role = variables(pod)["AWS_ROLE_ARN"]
        assert sts_answer(space, role, projected_token(space, pod)) == "OK"

    documents = {foreign_parts(write.document) for write in space.aws.history("mxp-backup")}
    assert len(documents) == 1, "somebody else's statement changed"
    assert set(created(space, "pods", namespaces).values()) == {1}
    assert set(created(space, "replicasets", namespaces).values()) == {1}
    assert set(space.webhook_calls()) == {"200"}
