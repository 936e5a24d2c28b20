"""The objects that Upbound Spaces makes for a control plane, and a few that tests need beside them."""

import uuid
from collections.abc import Mapping
from typing import Any

CONTROL_PLANE_LABEL = "internal.spaces.upbound.io/controlplane-name"
GROUP_LABEL = "internal.spaces.upbound.io/controlplane-namespace"
SERVICE_ACCOUNT = "mxp-controller"
IMAGE = "registry.invalid/mxp-controller:rig"  # never pulled: the nodes are simulated

Object = dict[str, Any]


def host_namespace_name() -> str:
    """Return a new name as Spaces gives to a control plane's host namespace: `mxp-<uuid>-system`."""
    return f"mxp-{uuid.uuid4()}-system"


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Object:
    """Return a Namespace."""
    metadata = {"name": name, "labels": dict(labels or {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def service_account(
    namespace: str, name: str = SERVICE_ACCOUNT, annotations: Mapping[str, str] | None = None
) -> Object:
    """Return a ServiceAccount."""
    metadata = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def pod_spec(service_account: str = SERVICE_ACCOUNT) -> Object:
    """Return the spec of a pod with one container."""
    container = {"name": "controller", "image": IMAGE}
    return {"serviceAccountName": service_account, "containers": [container]}


def pod(namespace: str, name: str, service_account: str = SERVICE_ACCOUNT) -> Object:
    """Return a Pod with one container."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(service_account)}


def deployment(
    namespace: str,
    name: str = SERVICE_ACCOUNT,
    service_account: str = SERVICE_ACCOUNT,
    replicas: int = 1,
) -> Object:
    """Return a Deployment whose pods use the ServiceAccount."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(service_account)},
        },
    }


def control_plane(name: str, host_namespace: str | None = None) -> list[Object]:
    """Return what Spaces makes for a control plane of the group `default`, in the order in which it is made.

    The host namespace with labels that name control plane and group, the ServiceAccount, and the Deployment that
    uses it.
    """
    host = host_namespace or host_namespace_name()
    return [
        namespace(host, {CONTROL_PLANE_LABEL: name, GROUP_LABEL: "default"}),
        service_account(host),
        deployment(host),
    ]


def agent() -> Object:
    """Return the DaemonSet of EKS's Pod Identity agent, without pods: what it does is `rig.aws.agent`'s."""
    name = "eks-pod-identity-agent"
    labels = {"app.kubernetes.io/name": name}
    spec = {"nodeSelector": {"rig/agent": "true"}, "containers": [{"name": name, "image": IMAGE}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def node(name: str) -> Object:
    """Return a Node for kwok to play."""
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
