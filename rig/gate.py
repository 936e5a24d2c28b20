"""The chart's pod gate: whether it refuses pods, and the gate alone beside a program that the rig runs."""

from typing import Any

import yaml

from rig.chart import render
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import GATE, PROGRAM, chart_values
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Configuration

PROBED = "gate-probe"
PREFIX = "mxp-identity/refuses-"
"""How the marks begin that the program writes."""

GATE_PATH = f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/{GATE}"
CONFIGURATION_PATH = f"/api/v1/namespaces/{OWN_NAMESPACE}/configmaps/{PROGRAM}"


def install_gate(space: Space, configuration: Configuration) -> None:
    """Have the API server refuse pods of the bindings that lack an identity, and wait until it does.

    The gate's probe is a namespace of the first binding's names, which must go by a pattern with one `*`.
    """
    bindings = configuration["bindings"]
    values = chart_values([], bindings=bindings, cluster=configuration.get("cluster", {}), podGate="deny")
    rendered = render(values, PROGRAM, OWN_NAMESPACE)
    space.cluster.apply([item for item in rendered if item["kind"].startswith("ValidatingAdmissionPolicy")])
    (account,) = [item for item in rendered if item["metadata"]["name"] == GATE]
    space.cluster.apply([{**account, "metadata": {**account["metadata"], "annotations": marks(rendered)}}])
    probe = bindings[0]["namespaces"]["pattern"].replace("*", PROBED)
    labels = {objects.CONTROL_PLANE_LABEL: PROBED}
    space.cluster.apply([objects.namespace(probe, labels), objects.service_account(probe)])
    eventually(lambda: _refuses(space, objects.pod(probe, PROBED)), "the gate holds")
    space.cluster.api.delete(f"/api/v1/namespaces/{probe}")


def marks(rendered: list[dict[str, Any]]) -> dict[str, str]:
    """Return the marks with which the gate of a rendered release refuses pods of all its bindings."""
    (config_map,) = [item for item in rendered if "config.yaml" in item.get("data", {})]
    return marks_of(config_map)


def marks_of(config_map: dict[str, Any]) -> dict[str, str]:
    """Return the marks that a release's configuration names; none where its gate refuses nothing."""
    file = yaml.safe_load(config_map["data"]["config.yaml"])
    found: dict[str, str] = file.get("podGate", {}).get("marks", {})
    return found


def marked(cluster: Cluster) -> dict[str, str]:
    """Return the marks that the program has written."""
    annotations = cluster.api.get(GATE_PATH)["metadata"].get("annotations", {})
    return {key: name for key, name in annotations.items() if key.startswith(PREFIX)}


def wait_until_marked(cluster: Cluster) -> None:
    """Wait until the leader of a release has made its first pass over every binding: then pods may be refused."""
    wanted = marks_of(cluster.api.get(CONFIGURATION_PATH))
    if wanted:
        eventually(lambda: marked(cluster) == wanted, "all bindings are marked", timeout=60)


def _refuses(space: Space, pod: dict[str, Any]) -> bool:
    try:
        space.cluster.api.create(pod, dryRun="All")
    except ApiError as error:
        return "EKS gave no identity" in error.message
    return False
