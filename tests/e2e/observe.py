"""What the end-to-end tests look at, in the cluster and in the account."""

import json
from collections.abc import Iterable
from typing import Any

from rig import pods
from rig.aws.identity import assume
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import AUDIENCE, Space

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


def annotation(space: Space, namespace: str) -> str | None:
    """The role annotation of a control plane's ServiceAccount."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}"
    value: str | None = space.cluster.api.get(path)["metadata"].get("annotations", {}).get(ROLE_ANNOTATION)
    return value


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """The environment of a pod's first container."""
    return pods.environment_of(pod)


def projected_token(space: Space, pod: dict[str, Any]) -> str:
    """A token as the kubelet would put it into the pod: audience and expiry of its volume, bound to the pod."""
    return pods.projected_token(space.cluster, pod)


def sts_answer(space: Space, role_arn: str, token: str) -> str:
    """What STS says to a token: `OK`, or its error code."""
    return assume(space.aws, role_arn, token).code


def is_trusted(space: Space, namespace: str, role: str | None = None) -> bool:
    """Whether STS accepts a token of a control plane's ServiceAccount for a role."""
    token = space.cluster.token(namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
    return sts_answer(space, role or space.roles[0], token) == "OK"


def foreign_parts(document: str) -> str:
    """A trust policy without our statements, as canonical JSON: IAM keeps no order and no list of one."""
    parsed = json.loads(document)
    foreign = [item for item in parsed["Statement"] if not item.get("Sid", "").startswith("MxpIdentity")]
    return json.dumps(_canonical({**parsed, "Statement": foreign}), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        members = sorted(
            (_canonical(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True)
        )
        return members[0] if len(members) == 1 else members
    return value


def created(space: Space, kind: str, namespaces: Iterable[str]) -> dict[str, int]:
    """How many objects of a kind were created in each namespace, by the API server's audit log."""
    counts = dict.fromkeys(namespaces, 0)
    for event in space.cluster.audit_events():
        reference = event.get("objectRef", {})
        if (
            event["verb"] == "create"
            and event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] == 201
            and reference.get("resource") == kind
            and not reference.get("subresource")
            and reference.get("namespace") in counts
        ):
            counts[reference["namespace"]] += 1
    return counts
