"""What Spaces does for its users: a ControlPlane object becomes a host namespace with its workloads."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rig.kubernetes.cluster import Cluster

GROUP, VERSION = "spaces.upbound.io", "v1beta1"
OBJECTS = f"/apis/{GROUP}/{VERSION}/controlplanes"
ALREADY_EXISTS, FORBIDDEN = 409, 403
INTERNAL_ERROR = 500

DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"controlplanes.{GROUP}"},
    "spec": {
        "group": GROUP,
        "names": {
            "kind": "ControlPlane",
            "plural": "controlplanes",
            "singular": "controlplane",
            "shortNames": ["ctp"],
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}
"""As much of the type as commands need: any fields."""

DEFINITION_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/controlplanes.{GROUP}"


class Spaces:
    """Plays Spaces in one cluster. `hosts` says which host namespace a control plane of a name gets.

    Workloads come in the order in which Spaces makes them, each with one POST that is sent again when refused.
    """

    def __init__(self, cluster: Cluster, hosts: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._hosts = dict(hosts)
        self._made: dict[str, str] = {}
        cluster.api.create(DEFINITION)
        eventually(self._is_served, "the API server serves ControlPlanes")

    def settle(self) -> None:
        """Make what new ControlPlanes need, and remove what those that are gone had."""
        items = self._cluster.api.get(OBJECTS)["items"]
        for item in items:
            if item["metadata"]["name"] not in self._made:
                self._make(item)
        names = {item["metadata"]["name"] for item in items}
        for name in [*self._made]:
            if name not in names:
                self._remove(self._made.pop(name))

    def add(self, name: str) -> str:
        """Create a ControlPlane as if made long ago, with all that it needs; answer its host namespace."""
        item = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ControlPlane",
            "metadata": {"name": name, "namespace": "default"},
        }
        self._cluster.api.post(f"/apis/{GROUP}/{VERSION}/namespaces/default/controlplanes", item)
        self.settle()
        return self._hosts[name]

    def _is_served(self) -> bool:
        """Whether it does, by the type that was just created: an earlier one may be served for a moment yet."""
        status = self._cluster.api.get(DEFINITION_PATH).get("status", {})
        if ("Established", "True") not in {(one["type"], one["status"]) for one in status.get("conditions") or []}:
            return False
        try:
            self._cluster.api.get(OBJECTS)
        except ApiError:
            return False
        return True

    def _make(self, control_plane: dict[str, Any]) -> None:
        metadata = control_plane["metadata"]
        host = self._made[metadata["name"]] = self._hosts[metadata["name"]]
        for item in objects.control_plane(metadata["name"], host):
            eventually(partial(self._is_created, item), f"{json.dumps(item['metadata'])} is created")
        eventually(lambda: pods.running_pod(self._cluster, host), f"a pod of {host} runs", timeout=60)
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{metadata['namespace']}/controlplanes/{metadata['name']}"
        ready = {"type": "Ready", "status": "True", "reason": "Available"}
        self._cluster.api.patch(path, {"status": {"conditions": [ready]}})

    def _is_created(self, item: dict[str, Any]) -> bool:
        try:
            self._cluster.api.create(item)
        except ApiError as error:
            if error.code not in {ALREADY_EXISTS, FORBIDDEN} and error.code < INTERNAL_ERROR:
                raise
            return error.code == ALREADY_EXISTS
        return True

    def _remove(self, host: str) -> None:
        self._cluster.api.delete(f"/api/v1/namespaces/{host}")

        def is_gone() -> bool:
            return host not in {
                item["metadata"]["name"] for item in self._cluster.api.get("/api/v1/namespaces")["items"]
            }

        eventually(is_gone, f"namespace {host} is gone", timeout=60)
