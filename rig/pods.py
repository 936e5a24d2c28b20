"""Pods as the demo and the tests look at them: whether they run, and what EKS's own webhook put into them."""

from typing import Any

from rig.kubernetes.cluster import Cluster
from rig.waiting import eventually

AUDIENCE = "sts.amazonaws.com"


def running_pod(cluster: Cluster, namespace: str) -> dict[str, Any] | None:
    """Return the namespace's first pod once it runs, else None."""
    pods = cluster.pods(namespace)
    return pods[0] if pods and pods[0].get("status", {}).get("phase") == "Running" else None


def uids(cluster: Cluster, namespace: str) -> set[str]:
    """Return which pods the namespace has."""
    return {pod["metadata"]["uid"] for pod in cluster.pods(namespace)}


def made_anew(cluster: Cluster, namespace: str, before: set[str]) -> dict[str, Any]:
    """Return the pod that has come in place of those that were there before; it is waited for."""

    def found() -> list[dict[str, Any]]:
        return [pod for pod in cluster.pods(namespace) if pod["metadata"]["uid"] not in before]

    return eventually(found, f"{namespace} has a new pod")[0]


def restarts_of(pod: dict[str, Any]) -> int:
    """Return how often the pod's containers were started again."""
    return sum(status.get("restartCount", 0) for status in pod["status"].get("containerStatuses", []))


def environment_of(pod: dict[str, Any]) -> dict[str, str]:
    """Return the variables of the pod's first container."""
    return {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0].get("env", [])}


def token_source(pod: dict[str, Any], audience: str = AUDIENCE) -> dict[str, Any]:
    """Return the projected volume's token source for AWS: audience and expirationSeconds."""
    sources = [
        source["serviceAccountToken"]
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if source.get("serviceAccountToken", {}).get("audience") == audience
    ]
    (source,) = sources
    return dict(source)


def projected_token(cluster: Cluster, pod: dict[str, Any], audience: str = AUDIENCE) -> str:
    """Return a token as the kubelet would mount it: audience and expiry of the volume, bound to the pod."""
    source, metadata = token_source(pod, audience), pod["metadata"]
    return cluster.token(
        metadata["namespace"],
        pod["spec"]["serviceAccountName"],
        audience=source["audience"],
        expiration_seconds=source["expirationSeconds"],
        bound_pod=(metadata["name"], metadata["uid"]),
    )
