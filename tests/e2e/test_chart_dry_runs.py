"""What the chart renders is what a real API server takes, and within the restricted Pod Security Standard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.waiting import eventually
from tests.chart.charts import CI_VALUES, read, rendered

pytestmark = pytest.mark.rig

EXTERNAL_KINDS = {
    "ServiceMonitor": ("servicemonitors", "monitoring.coreos.com", "v1"),
    "PrometheusRule": ("prometheusrules", "monitoring.coreos.com", "v1"),
    "Certificate": ("certificates", "cert-manager.io", "v1"),
    "CiliumNetworkPolicy": ("ciliumnetworkpolicies", "cilium.io", "v2"),
}
BOTH_FAMILIES = ("--service-cluster-ip-range=10.0.0.0/24,fd00:10::/112",)
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One that no other test gets: an API server goes on serving a kind for a while after its definition went."""
    with Cluster(controllers=False, nodes=0, eks_webhook=False, api_server_flags=BOTH_FAMILIES) as running:
        running.create([objects.namespace(OWN_NAMESPACE, RESTRICTED)])
        running.create([objects.service_account(OWN_NAMESPACE, "default"), objects.namespace("monitoring")])
        running.create(map(_definition, EXTERNAL_KINDS))
        eventually(lambda: all(_is_served(running, kind) for kind in EXTERNAL_KINDS), "the kinds are served")
        yield running


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_the_api_server_takes_every_object(cluster: Cluster, path: Path) -> None:
    values = read(path)
    warnings = []
    for item in rendered(values):
        if values.get("hostNetwork") and item["kind"] == "Pod":
            continue
        warnings += cluster.api.create(item, dryRun="All", fieldValidation="Strict").warnings
    expected = ["would violate PodSecurity"] if values.get("hostNetwork") else []
    assert len(warnings) == len(expected), warnings
    assert all(part in warning for part, warning in zip(expected, warnings, strict=True))


def _definition(kind: str) -> dict[str, Any]:
    """A CustomResourceDefinition that takes anything."""
    plural, group, version = EXTERNAL_KINDS[kind]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _is_served(cluster: Cluster, kind: str) -> bool:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    plural, group, _ = EXTERNAL_KINDS[kind]
    found = cluster.api.get(f"{path}/{plural}.{group}")
    conditions = found.get("status", {}).get("conditions", [])
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
