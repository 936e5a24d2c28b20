"""The pod of a control plane on a real node, and what its boto3 says it is."""

from collections.abc import Callable
from typing import Any

from rig.aws.pod_client import FULL_URI
from rig.node.client import GOT, first_line
from rig.node.node import Node
from rig.pods import environment_of, restarts_of, running_pod
from rig.waiting import eventually

PATIENCE_S = 180.0


def has_agent(pod: dict[str, Any]) -> bool:
    """Whether EKS's webhook has pointed a pod to the agent of EKS Pod Identity."""
    return FULL_URI in environment_of(pod)


def has_token(pod: dict[str, Any]) -> bool:
    """Whether EKS's webhook has given a pod a role to assume with its token."""
    return "AWS_ROLE_ARN" in environment_of(pod)


def pod_of(node: Node, host: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the pod of a control plane that runs, once it is as it should be."""

    def found() -> dict[str, Any] | None:
        pod: dict[str, Any] | None = running_pod(node, host)
        return pod if pod and holds(pod) else None

    return eventually(found, f"the pod of {host} runs", timeout=PATIENCE_S)


def assert_credentials(node: Node, pod: dict[str, Any], role: str) -> None:
    """Hold that the pod's first call to AWS was answered with the role, and that it never restarted."""
    said = eventually(lambda: first_line(node, pod), "the pod's boto3 says who it is", timeout=PATIENCE_S)
    assert f":assumed-role/{role}/" in said
    assert said.startswith(GOT)
    assert restarts_of(pod) == 0
