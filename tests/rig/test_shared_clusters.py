"""What one user of a shared cluster leaves, the next does not find."""

import copy
import sys
from contextlib import AbstractContextManager
from typing import Any

import pytest

from rig.gate import install_gate
from rig.kubernetes import ApiError, Cluster, Registration, objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.shared import borrowed
from rig.kubernetes.snapshot import CANARIES
from rig.pki import Authority
from rig.pods import environment_of
from rig.ports import free_port
from rig.space import Space
from rig.waiting import eventually

pytestmark = pytest.mark.rig


def bare() -> AbstractContextManager[Cluster]:
    return borrowed(controllers=False, nodes=0, eks_webhook=False)


def keys(cluster: Cluster) -> set[str]:
    """Every object of every kind that lists, but what the cluster's parts make while they run."""
    return {
        line for kind in KINDS for line in cluster.kubectl("get", kind, "-A", "-o", "name").stdout.splitlines()
    }


KINDS = (
    "namespaces",
    "serviceaccounts",
    "configmaps",
    "pods",
    "deployments",
    "replicasets",
    "leases",
    "clusterroles",
    "clusterrolebindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "customresourcedefinitions",
    "nodes",
)


def use(cluster: Cluster) -> str:
    """Leave as much as can be, and return the name of a namespace."""
    items = objects.control_plane("used")
    namespace = str(items[0]["metadata"]["name"])
    with Space(cluster=cluster, rights=True, eks_lag=0) as space:
        cluster.create(items)
        install_gate(space, space.configuration())
        cluster.api.create(objects.service_account("default"))
        cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    unused = f"https://127.0.0.1:{free_port()}/mutate"
    cluster.register_webhook("absent", Registration(unused, Authority().certificate, failure_policy="Fail"))
    cluster.api.patch("/api/v1/nodes/node-1", {"spec": {"unschedulable": True}})
    assert cluster.eks_webhook
    cluster.eks_webhook.set_associations([("default", "default")])
    cluster.workspace.spawn("left", [sys.executable, "-c", "import time; time.sleep(600)"])
    (cluster.workspace.path / "left.yaml").write_text("left")
    return namespace


def _is_by_its_user(event: dict[str, Any], namespace: str) -> bool:
    """A controller may still ask for what is gone; that is no request of the first user's."""
    is_in_it = event.get("objectRef", {}).get("namespace") == namespace
    return bool(is_in_it and event["user"]["username"] == "admin")


def test_a_used_cluster_is_as_new() -> None:
    with borrowed() as first:
        before, processes = keys(first), [*first.workspace.processes]
        used = use(first)

    with borrowed() as second:
        assert second is first
        assert keys(second) == before
        assert second.workspace.processes == processes
        assert not (second.workspace.path / "left.yaml").exists()
        assert not [event for event in second.audit_events() if _is_by_its_user(event, used)]
        node = second.api.get("/api/v1/nodes/node-1")
        assert "unschedulable" not in node["spec"]

        def is_forgotten() -> bool:
            pod = second.api.create(objects.pod("default", "next", "default"), dryRun="All")
            return "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in environment_of(pod)

        eventually(is_forgotten, "EKS's webhook forgets the association", timeout=5)

        items = objects.control_plane("next")
        second.create(items)  # neither the webhook that fails nor the gate is in the way
        second.wait_for_deployment(str(items[0]["metadata"]["name"]), SERVICE_ACCOUNT)


def test_what_an_admission_policy_refused_is_taken_at_once() -> None:
    policy, binding = copy.deepcopy(CANARIES["validatingadmissionpolic"])
    for item in (policy, binding):
        item["metadata"]["name"] = "refusing"
    del policy["spec"]["matchConstraints"]["objectSelector"]
    policy["spec"]["validations"] = [{"expression": "object.metadata.name != 'refused'"}]
    binding["spec"]["policyName"] = "refusing"

    def is_taken(cluster: Cluster) -> bool:
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "refused"}}
        try:
            cluster.api.post("/api/v1/namespaces/default/configmaps", item, dryRun="All")
        except ApiError:
            return False
        return True

    with bare() as first:
        first.create([policy, binding])
        eventually(lambda: not is_taken(first), "the policy is in force")

    with bare() as second:
        assert second is first
        assert is_taken(second)


def test_two_users_at_a_time_have_two_clusters() -> None:
    with bare() as first, bare() as second:
        first.create([objects.namespace("mine")])

        with pytest.raises(ApiError, match="404"):
            second.api.get("/api/v1/namespaces/mine")


def test_a_cluster_with_a_part_that_ended_is_not_used_again() -> None:
    with bare() as first:
        first.parts["kube-apiserver"].kill()

    assert not first.workspace.path.exists()
    with bare() as second:
        assert second is not first


def test_a_cluster_whose_user_failed_is_not_used_again() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        bare() as used,
    ):
        _ = 1 / 0

    assert not used.workspace.path.exists()
