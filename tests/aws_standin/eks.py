"""What the tests of Pod Identity share: a cluster, a role that EKS may assume, and a pod's token."""

import json
from typing import Any

from rig.aws import TokenIssuer

CLUSTER = "spaces"
NAMESPACE = "mxp-1-system"
ACCOUNT_NAME = "mxp-controller"
AUDIENCE = "pods.eks.amazonaws.com"


def statement(condition: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    found = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        **fields,
    }
    return {**found, "Condition": condition} if condition else found


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def token(
    issuer: TokenIssuer,
    namespace: str = NAMESPACE,
    account: str = ACCOUNT_NAME,
    audience: str = AUDIENCE,
    **more: Any,
) -> str:
    """A token as the kubelet projects it into a pod."""
    pod = {
        "namespace": namespace,
        "pod": {"name": "controller-0", "uid": "00000000-0000-0000-0000-000000000001"},
        "serviceaccount": {"name": account, "uid": "00000000-0000-0000-0000-000000000002"},
    }
    subject = f"system:serviceaccount:{namespace}:{account}"
    return issuer.token(subject, audience=audience, **{"kubernetes.io": pod, **more})
