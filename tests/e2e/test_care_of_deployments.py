"""Workloads that were there too early: restarted at a pace, or retried where their pods were refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import pytest

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.permissions import REMEDIATION, kubernetes_objects
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import kubernetes_events, log_events, logged, writes_of_the_program
from tests.e2e.releases import Release, released
from tests.e2e.scenes import create_account, create_namespace, label

pytestmark = pytest.mark.rig

EKS = "eks-pod-identity-webhook"
REFUSED_SECONDS = 22.0
"""After so long the ReplicaSet's controller, which waits twice as long each time, tries again 19 s later."""
SOON_SECONDS = 8.0


def test_workloads_from_before_are_restarted_at_the_set_pace_and_each_new_pod_has_its_identity(
    space: Space,
) -> None:
    space.cluster.apply(kubernetes_objects([SERVICE_ACCOUNT], **REMEDIATION))
    early = [_control_plane(space) for _ in range(6)]
    free = _control_plane(space, selected=False)
    beside = objects.deployment(early[0], "beside", service_account="default")
    space.cluster.create([beside])
    for namespace in (*early, free):
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    space.cluster.wait_for_deployment(early[0], "beside")

    remediation = {"interval": "1s", "restartPodsWithoutIdentity": True, "restartsAtATime": 2}
    webhook = space.start_webhook(space.configuration(reconciler=remediation))
    eventually(lambda: len(_ends(webhook)) == len(early), "all rollouts have ended", timeout=120)

    for namespace in early:
        (pod,) = [pod for pod in space.cluster.pods(namespace) if pod["metadata"]["labels"]["app"] != "beside"]
        assert pods.environment_of(pod)["AWS_ROLE_ARN"] == space.roles[0]
        assert kubernetes_events(space, namespace, "RestartedForIdentity")
        assert _deployment(space, namespace)["metadata"]["generation"] == 2
    under_way = list(accumulate(_steps(webhook)))
    assert max(under_way) == 2
    assert under_way[-1] == 0
    assert _deployment(space, free)["metadata"]["generation"] == 1
    assert _deployment(space, early[0], "beside")["metadata"]["generation"] == 1
    assert len([write for write in writes_of_the_program(space) if "/deployments/" in write]) == len(early)


@pytest.mark.proof
def test_a_restart_that_does_not_help_is_told_of_and_not_repeated_by_the_next_replica(space: Space) -> None:
    space.cluster.apply(kubernetes_objects([SERVICE_ACCOUNT], **REMEDIATION))
    namespace = _control_plane(space)
    space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    remediation = space.configuration(reconciler={"interval": "500ms", "restartPodsWithoutIdentity": True})
    with space.cluster.stopped(EKS):
        first = space.start_webhook(remediation)
        _is_told(first)
        first.process.kill()
        second = space.start_webhook(remediation)
        _is_told(second)
        assert log_events(second, "deployment_restarted") == []
        assert _deployment(space, namespace)["metadata"]["generation"] == 2
    (event, *_) = kubernetes_events(space, namespace, "NotRestartedForIdentity")
    assert event["involvedObject"]["kind"] == "Deployment"
    assert "EKS's pod identity webhook" in event["message"]


@pytest.mark.proof
def test_a_deployment_refused_for_long_starts_soon_after_its_identity_is_there(space: Space) -> None:
    with _gated(space) as release:
        refused, unbound = _control_plane(space), _control_plane(space, selected=False, account=False)
        began = time.monotonic()
        eventually(lambda: kubernetes_events(space, refused, "FailedCreate"), "the pod is refused")
        eventually(lambda: time.monotonic() - began > REFUSED_SECONDS, "it backs off", timeout=60)
        assert space.cluster.pods(refused) == []

        webhook = _replica(release)
        _starts_with_identity(space, refused)
        logged(webhook, "rollout_retried", namespace=refused)
        assert "mxp-identity/retried-at" not in _deployment(space, unbound)["metadata"].get("annotations", {})
        assert len(space.cluster.api.get(f"/apis/apps/v1/namespaces/{refused}/replicasets")["items"]) == 1


@pytest.mark.proof
def test_a_namespace_labelled_late_is_retried_too(space: Space) -> None:
    with _gated(space) as release:
        webhook = _replica(release)
        namespace = create_namespace(space, selected=False)
        space.cluster.create([objects.deployment(namespace)])  # refused: it has no ServiceAccount
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > REFUSED_SECONDS, "it backs off", timeout=60)
        create_account(space, namespace)
        label(space, namespace, {CONTROL_PLANE_LABEL: "late"})
        _starts_with_identity(space, namespace)
        logged(webhook, "rollout_retried", namespace=namespace)


@contextmanager
def _gated(space: Space) -> Iterator[Release]:
    """A release of the chart whose gate refuses pods without identity."""
    with released(space, reconciler={"interval": "1s"}) as release:
        release.close_gate()
        yield release


def _control_plane(space: Space, *, selected: bool = True, account: bool = True) -> str:
    namespace = create_namespace(space, selected=selected)
    if account:
        create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    return namespace


def _replica(release: Release) -> Webhook:
    webhook = release.start_replica()
    release.wait_until_called()
    return webhook


def _starts_with_identity(space: Space, namespace: str) -> None:
    pod = _soon(lambda: next(iter(space.cluster.pods(namespace)), None), "a pod is made")
    assert "AWS_ROLE_ARN" in pods.environment_of(pod)


def _soon(condition: Callable[[], Any], what: str) -> Any:
    return eventually(condition, what, timeout=SOON_SECONDS)


def _deployment(space: Space, namespace: str, name: str = SERVICE_ACCOUNT) -> dict[str, Any]:
    found: dict[str, Any] = space.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    return found


def _ends(webhook: Webhook) -> list[dict[str, Any]]:
    return log_events(webhook, "rollout_ended")


def _steps(webhook: Webhook) -> list[int]:
    """+1 for each restart and -1 for each end of a rollout, in order."""
    steps = {"deployment_restarted": 1, "rollout_ended": -1}
    return [steps[line["event"]] for line in webhook.log() if line.get("event") in steps]


def _is_told(webhook: Webhook) -> None:
    def told() -> bool:
        return bool(log_events(webhook, "deployment_not_restarted", outcome="did_not_help"))

    eventually(told, "it says that the restart did not help")
