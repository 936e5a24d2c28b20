"""What the end-to-end tests of mode pod-identity look at: associations, and credentials by way of the agent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rig import pods
from rig.aws import Association
from rig.aws.agent import Agent
from rig.aws.eks_auth import AUDIENCE
from rig.aws.pod_client import FULL_URI, Fetched, fetch
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.scenes import end, unregister

OFTEN = {"interval": "500ms"}


@contextmanager
def serving_pods(space: Space, **sections: Any) -> Iterator[Webhook]:
    """A replica in mode pod-identity that the API server calls for the length of a `with` block."""
    webhook = space.start_webhook(space.in_mode("pod-identity", **sections))
    try:
        space.register(webhook.url, "Fail")
        yield webhook
    finally:
        space.aws.clear_faults()
        unregister(space)
        end(space, webhook)


def association(space: Space, namespace: str) -> Association | None:
    """The association of a control plane's ServiceAccount."""
    found = space.aws.associations(EKS_CLUSTER)
    wanted = (namespace, SERVICE_ACCOUNT)
    return next((one for one in found if (one.namespace, one.service_account) == wanted), None)


def associated(space: Space, namespace: str, timeout: float = 30.0) -> Association:
    """The same, waited for."""
    return eventually(lambda: association(space, namespace), f"{namespace} is associated", timeout=timeout)


def make_by_hand(space: Space, namespace: str, role: str, **more: Any) -> str:
    """Make an association as a person does, and answer its id."""
    made = space.aws.admin_client("eks").create_pod_identity_association(
        clusterName=EKS_CLUSTER, namespace=namespace, serviceAccount=SERVICE_ACCOUNT, roleArn=role, **more
    )
    return str(made["association"]["associationId"])


def has_pod_identity(pod: dict[str, Any]) -> bool:
    """Whether EKS's webhook gave the pod the variables of Pod Identity, and none of IRSA."""
    variables = pods.environment_of(pod)
    return FULL_URI in variables and "AWS_ROLE_ARN" not in variables


def credentials(space: Space, pod: dict[str, Any]) -> Fetched:
    """What a pod's SDK gets by the variables and the token that EKS's webhook gave it."""
    token = pods.projected_token(space.cluster, pod, AUDIENCE)
    with Agent(space.aws, EKS_CLUSTER) as agent:
        return fetch(space.aws, agent.url, pods.environment_of(pod), token)


def stays(holds: Any, seconds: float = 2.0) -> bool:
    """Whether something that holds goes on holding for a while, over several passes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not holds():
            return False
        time.sleep(0.1)
    return True
