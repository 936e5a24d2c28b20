"""A namespace selected only after its workload started: nothing is lost, and people learn what to restart."""

import time

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import (
    annotation,
    is_trusted,
    kubernetes_events,
    log_events,
    logged,
    projected_token,
    sts_answer,
    variables,
)
from tests.e2e.scenes import create_account, create_namespace, label, serving

GAUGE = "mxp_identity_pods_without_identity"


@pytest.mark.rig
def test_a_namespace_labelled_late_ends_with_identity_and_its_pod_is_listed_until_it_is_restarted(
    space: Space,
) -> None:
    role = space.roles[0]
    with serving(space, reconciler={"interval": "1s"}) as webhook:
        namespace = create_namespace(space, selected=False)
        create_account(space, namespace)
        space.cluster.create([objects.deployment(namespace)])
        began = time.monotonic()
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
        (early,) = space.cluster.pods(namespace)
        eventually(lambda: time.monotonic() - began >= 2, "two seconds without the label")
        assert annotation(space, namespace) is None
        assert webhook.metrics().total(GAUGE) == 0, "a pod that no binding selects is not counted"

        label(space, namespace, {CONTROL_PLANE_LABEL: "late"})

        eventually(lambda: annotation(space, namespace) == role, "the annotation")
        eventually(lambda: is_trusted(space, namespace), "trust")
        name = early["metadata"]["name"]
        (event,) = eventually(lambda: kubernetes_events(space, namespace, "StartedWithoutIdentity"), "an Event")
        assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == ("Pod", name)
        assert "kubectl rollout restart" in event["message"]
        logged(webhook, "pod_without_identity", namespace=namespace, pod=name)
        eventually(lambda: webhook.metrics().total(GAUGE) == 1, "the pod is counted")
        assert "AWS_ROLE_ARN" not in variables(early)

        restart = space.cluster.kubectl("rollout", "restart", f"deployment/{SERVICE_ACCOUNT}", "-n", namespace)
        assert restart.returncode == 0, restart.stderr
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
        (late,) = space.cluster.pods(namespace)
        assert variables(late)["AWS_ROLE_ARN"] == role
        assert sts_answer(space, role, projected_token(space, late)) == "OK"
        eventually(lambda: webhook.metrics().total(GAUGE) == 0, "the gauge is 0 again with the next pass")
        assert len(log_events(webhook, "pod_without_identity")) == 1, "each pod is told of once"
