"""The image on a real node in mode pod-identity: boto3 in the pod asks the stand-in of the agent."""

from collections.abc import Iterator
from typing import Any

import pytest

from rig.aws.pod_client import FULL_URI
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.agent import ADDRESS, start_agent
from rig.node.client import GOT, control_plane, first_line
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.pods import environment_of, restarts_of, running_pod
from rig.space import EKS_CLUSTER
from rig.waiting import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

LAG_S = 5.0
PATIENCE_S = 180.0


@pytest.fixture
def associating(installed: Installation, node: Node) -> Iterator[Installation]:
    """The release in mode pod-identity with the gate on deny, and the agent on the node."""
    space = installed.space
    space.join_eks(LAG_S)
    agent = start_agent(node, space.aws, EKS_CLUSTER)
    configuration = space.in_mode("pod-identity")
    installed.upgrade(bindings=configuration["bindings"], cluster=configuration["cluster"])
    # Until then a pod of the release before, which drains, may still answer a review.
    eventually(lambda: len(_pods_of_the_program(node)) == len(installed.pods()), "the old pods are gone")
    try:
        yield installed
    finally:
        installed.upgrade()
        agent.kill()


def _pods_of_the_program(node: Node) -> list[Any]:
    found = node.api.get(f"/api/v1/namespaces/{OWN_NAMESPACE}/pods")["items"]
    return [pod for pod in found if pod.get("status", {}).get("phase") == "Running"]


def test_a_control_planes_first_pod_gets_credentials_from_the_agent_at_its_first_try(
    associating: Installation, node: Node, image: Image
) -> None:
    space = associating.space
    host, account, deployment = control_plane(space, image, "associated")
    (_, reply, _) = space.cluster.create([host, account, deployment])
    assert "annotations" not in reply["metadata"]
    namespace = host["metadata"]["name"]
    pod = eventually(lambda: running_pod(node, namespace), "the pod runs", timeout=PATIENCE_S)
    assert environment_of(pod)[FULL_URI] == f"http://{ADDRESS}/v1/credentials"
    said = eventually(lambda: first_line(node, pod), "the pod's boto3 says who it is", timeout=PATIENCE_S)
    assert said.startswith(f"{GOT} arn:aws:sts::{space.aws.account}:assumed-role/mxp-backup/eks-{EKS_CLUSTER}-")
    assert restarts_of(pod) == 0
    assert len(space.cluster.pods(namespace)) == 1
