"""`withdraw` while the release is still in force: it names what is there, and the next step, and does nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from rig.chart import render
from rig.kubernetes.api import Object
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM, chart_values
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.cli.commands import Ran, environment, run
from tests.cli.withdraw.spaces import Made, a_space, configuration
from tests.e2e.replicas import LEADER_LEASE
from tests.e2e.scenes import leases, unregister
from tests.support.variants import variants

pytestmark = pytest.mark.rig

DONE, PROBLEMS = 0, 4
STILL_S = 2.0


@pytest.fixture(scope="module")
def here() -> Iterator[Made]:
    with a_space() as found:
        yield found


def withdraw(here: Made, *options: str) -> Ran:
    """Run the command, and hold that nothing is changed."""
    before = here.left()
    ran = here.withdraw(*options)
    leader = set(here.left()["leases"]) - set(before["leases"])
    assert leader <= {LEADER_LEASE}
    assert {**here.left(), "leases": []} == {**before, "leases": []}
    return ran


@contextmanager
def replica(here: Made) -> Iterator[Webhook]:
    """One that leads, is no pod of the cluster, and has done what there was to do."""
    running = here.space.start_webhook(configuration(here.space))
    seen, since = here.left(), time.monotonic()

    def is_still() -> bool:
        nonlocal seen, since
        if (now := here.left()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > STILL_S

    try:
        eventually(lambda: _holder(here), "it leads")
        eventually(is_still, "it has nothing more to do")
        yield running
    finally:
        running.process.kill()


def _holder(here: Made) -> str | None:
    found = (one for one in leases(here.space) if one["metadata"]["name"] == LEADER_LEASE)
    return next((one["spec"].get("holderIdentity") for one in found), None)


@pytest.mark.parametrize("options", variants([("--approve",), (), ("--approve", "--keep-access")]))
def test_a_webhook_that_is_registered(here: Made, options: tuple[str, ...]) -> None:
    with replica(here) as running:
        here.space.register(running.url)
        try:
            refused = withdraw(here, *options)
        finally:
            unregister(here.space)
    assert refused.code == PROBLEMS, refused
    why = "! webhook-registered: MutatingWebhookConfiguration mxp-identity-webhook is there"
    assert why in refused.out
    keep = " --keep-access" if "--keep-access" in options else ""
    assert refused.out.split("next:\n")[1].splitlines()[:2] == [
        "  kubectl delete mutatingwebhookconfiguration mxp-identity-webhook",
        f"  mxp-identity withdraw --config {here.file}{keep} --approve",
    ]


def test_a_replica_that_runs_somewhere(here: Made) -> None:
    with replica(here):
        refused = withdraw(here, "--approve", "-o", "json")
    assert refused.document["done"] == []
    assert refused.code == PROBLEMS, refused
    assert [one["obstacle"] for one in refused.document["inForce"]] == ["replica-runs"]
    assert "renews the leader's Lease" in refused.document["inForce"][0]["message"]


def _pod(name: str, **metadata: Any) -> Object:
    labels = {"mxp-identity/component": "webhook", "app.kubernetes.io/instance": PROGRAM}
    spec = {"serviceAccountName": PROGRAM, "containers": [{"name": "webhook", "image": "none"}]}
    whole = {"name": name, "namespace": OWN_NAMESPACE, "labels": labels, **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": whole, "spec": spec}


def test_pods_of_the_webhook_that_run_or_are_ending(here: Made) -> None:
    path = f"/api/v1/namespaces/{OWN_NAMESPACE}/pods/webhook-1"
    here.space.cluster.create([_pod("webhook-1", finalizers=["rig/holds"])])
    refused = withdraw(here, "--approve")
    assert refused.code == PROBLEMS, refused
    assert "! replica-runs: pod mxp-identity/webhook-1 of the webhook runs" in refused.out
    assert (
        "  kubectl scale -n mxp-identity deployment -l mxp-identity/component=webhook --replicas=0\n"
        in refused.out
    )

    here.space.cluster.api.delete(path)
    ending = withdraw(here, "--approve")
    assert ending.code == PROBLEMS, ending
    assert "webhook-1 of the webhook is ending" in ending.out
    assert "  kubectl wait -n mxp-identity --for=delete pod -l mxp-identity/component=webhook" in ending.out
    here.space.cluster.api.patch(path, {"metadata": {"finalizers": None}})


def test_a_pod_gate_that_was_left(here: Made) -> None:
    rendered = render(chart_values(["mxp-controller"], podGate="deny"), PROGRAM, OWN_NAMESPACE)
    policies = [one for one in rendered if one["kind"] == "ValidatingAdmissionPolicy"]
    here.space.cluster.apply(policies)
    refused = withdraw(here, "--approve")
    for one in policies:
        name = one["metadata"]["name"]
        assert f"! pod-gate-in-force: ValidatingAdmissionPolicy {name} is there" in refused.out
        here.space.cluster.api.delete(f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{name}")
    assert refused.code == PROBLEMS


def test_without_a_file_the_release_s_own_configuration_is_saved_first(here: Made) -> None:
    labels = {"mxp-identity/component": "webhook", "app.kubernetes.io/instance": PROGRAM}
    metadata = {"name": PROGRAM, "namespace": OWN_NAMESPACE, "labels": labels}
    content = yaml.safe_dump(configuration(here.space))
    release = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config.yaml": content}}
    here.space.cluster.create([release, _pod("webhook-2")])
    refused = run("withdraw", "--keep-access", env=environment(here.space))
    assert refused.code == PROBLEMS, refused
    get = "kubectl get configmap -n mxp-identity -l mxp-identity/component=webhook -o"
    assert refused.out.split("next:\n")[1].splitlines()[:3] == [
        rf"  {get} 'jsonpath={{.items[*].data.config\.yaml}}' > config.yaml",
        "  kubectl scale -n mxp-identity deployment -l mxp-identity/component=webhook --replicas=0",
        "  mxp-identity withdraw --config config.yaml --keep-access --approve",
    ]
    for path in (f"configmaps/{PROGRAM}", "pods/webhook-2"):
        here.space.cluster.api.delete(f"/api/v1/namespaces/{OWN_NAMESPACE}/{path}")


@pytest.mark.proof
def test_a_leader_that_was_killed_is_no_replica_that_runs() -> None:
    with a_space() as space, replica(space) as running:
        running.process.kill()
        assert _holder(space) is not None
        done = space.withdraw("--approve")
        assert done.code == DONE, done
        assert space.left()["leases"] == []
