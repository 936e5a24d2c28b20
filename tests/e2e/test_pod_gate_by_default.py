"""The gate refuses pods by default: what it never blocks, and that what it refuses needs no person."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from rig import pods
from rig.gate import wait_until_marked
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.shared import borrowed
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.e2e.observe import created, kubernetes_events
from tests.e2e.releases import Release, released
from tests.e2e.scenes import create_account, create_namespace, whole_space
from tests.proof.records import Record
from tests.support.variants import variants

pytestmark = pytest.mark.rig

EKS = "eks-pod-identity-webhook"
IDENTITY = {"AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}
EKS_LAG_S = 0.5
OUTAGE_S = 120.0
WITHIN_S = 60.0
TOGETHER = 10
AT_ONCE = 16
ROOMY = 4_000_000
"""Characters of a trust policy: room for all of them in one role."""


@pytest.mark.parametrize("mode", variants(["irsa", "pod-identity", "annotate"]))
def test_from_warn_to_deny_no_pod_is_blocked_whose_service_account_waits_for_its_first_pass(mode: str) -> None:
    values: dict[str, Any] = {"cluster": {"name": EKS_CLUSTER}, "reconciler": {"interval": "1s"}}
    warning = {**values["reconciler"], "restartPodsWithoutIdentity": True}  # which mode pod-identity then needs
    with (
        whole_space(quota=ROOMY, eks_lag=EKS_LAG_S) as space,
        released(space, **{**values, "reconciler": warning}, podGate="warn", binding={"mode": mode}) as release,
    ):
        running = _created_with_identity(release)
        uid = _uid(space, running)
        unannotated = _control_plane(space, release.unannotated())
        eventually(lambda: pods.running_pod(space.cluster, unannotated), "a pod runs without identity")

        release.helm.upgrade(release.values(**values, binding={"mode": mode}))
        release.wait_until_in_force()
        before = _uid(space, unannotated)
        _delete_pod(space, unannotated)
        eventually(lambda: _uid(space, unannotated) not in {before, None}, "its pod is recreated")
        assert not _identity(space, unannotated)

        replica = release.start_replica()
        release.wait_until_called()
        wait_until_marked(space.cluster)
        _delete_pod(space, unannotated)
        eventually(lambda: _identity(space, unannotated), "its pod has its identity", timeout=WITHIN_S)
        fresh = _control_plane(space, create_namespace(space), account=True)
        eventually(lambda: _identity(space, fresh), "a new one has its identity", timeout=WITHIN_S)
        assert _uid(space, running) == uid
        release.stop_replica(replica)
        eventually(lambda: release.refuses(release.unannotated()), "the gate holds")


def test_a_release_that_never_starts_blocks_no_pod() -> None:
    with whole_space() as space:
        before = _control_plane(space, create_namespace(space), account=True)
        with released(space) as release:
            release.wait_until_in_force()
            after = _control_plane(space, create_namespace(space), account=True)
            _delete_pod(space, before)
            for namespace in (before, after):
                eventually(partial(pods.running_pod, space.cluster, namespace), "a pod runs")
                assert not kubernetes_events(space, namespace, "FailedCreate")
            assert release.marked() == []


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_after_two_minutes_without_ekss_webhook_every_refused_pod_runs_within_a_minute(record: Record) -> None:
    with whole_space(quota=ROOMY) as space, released(space) as release:
        release.start_replica()
        release.wait_until_called()
        wait_until_marked(space.cluster)
        older = [_control_plane(space, create_namespace(space), account=True) for _ in range(TOGETHER)]
        for namespace in older:
            eventually(partial(_identity, space, namespace), "it has its identity")
        with space.cluster.stopped(EKS):
            began = time.monotonic()
            newer = [_control_plane(space, create_namespace(space), account=True) for _ in range(TOGETHER)]
            for namespace in older:
                _delete_pod(space, namespace)
            refused = [*older, *newer]
            for namespace in refused:
                eventually(partial(_is_refused, space, namespace), "its pod is refused")
            eventually(
                lambda: time.monotonic() - began > OUTAGE_S, "two minutes have passed", timeout=OUTAGE_S + 9
            )
            assert not any(space.cluster.pods(namespace) for namespace in refused)
        back = time.monotonic()
        waited = []
        for namespace in refused:
            left = back + WITHIN_S - time.monotonic()
            eventually(partial(_identity, space, namespace), "its pod runs", timeout=left)
            waited.append(time.monotonic() - back)
        assert set(created(space, "pods", newer).values()) == {1}
        assert set(created(space, "pods", older).values()) == {2}
        assert set(created(space, "replicasets", refused).values()) == {1}, "one was restarted"
        record(
            "EKS's webhook was away for two minutes: every pod that was refused runs within a minute, by itself",
            pods_refused=len(refused),
            longest_wait_s=round(max(waited), 1),
            restarts=0,
        )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [40, pytest.param(5000, marks=pytest.mark.proof)])
def test_pods_made_right_after_their_service_accounts_all_have_an_identity_and_none_is_restarted(
    count: int, record: Record
) -> None:
    with borrowed(nodes=0) as cluster, Space(cluster=cluster, quota=ROOMY) as space, released(space) as release:
        release.start_replica()
        release.start_replica()
        release.wait_until_called()
        wait_until_marked(space.cluster)
        items = [objects.control_plane(f"control-plane-{number}") for number in range(count)]
        namespaces = [item[0]["metadata"]["name"] for item in items]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(space.cluster.create, items))
        found = eventually(lambda: _all_pods(space, count), f"{count} pods", timeout=count / 2 + WITHIN_S)
        assert {pod["metadata"]["namespace"] for pod in found} == set(namespaces)
        assert all("AWS_ROLE_ARN" in pods.environment_of(pod) for pod in found)
        assert set(created(space, "pods", namespaces).values()) == {1}
        refused = {namespace for namespace in namespaces if kubernetes_events(space, namespace, "FailedCreate")}
        record(
            "Pods made right after their ServiceAccounts, with the chart's default values: all have an identity",
            pods=len(found),
            without_identity=0,
            restarted=0,
            refused_at_first=len(refused),
        )


def _created_with_identity(release: Release) -> str:
    """A control plane that was created while a replica ran, which has ended since."""
    space = release.space
    replica = release.start_replica()
    release.wait_until_called()
    namespace = create_namespace(space)
    create_account(space, namespace)
    probe = objects.pod(namespace, "probe")
    eventually(lambda: _has_identity(space.cluster.api.create(probe, dryRun="All")), "EKS knows it")
    _control_plane(space, namespace)
    eventually(lambda: _identity(space, namespace), "its pod has its identity")
    release.stop_replica(replica)
    return namespace


def _control_plane(space: Space, namespace: str, *, account: bool = False) -> str:
    if account:
        create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    return namespace


def _has_identity(pod: dict[str, Any]) -> bool:
    return bool(IDENTITY & pods.environment_of(pod).keys())


def _identity(space: Space, namespace: str) -> bool:
    """Whether the namespace's one pod runs with an identity."""
    pod = pods.running_pod(space.cluster, namespace)
    return pod is not None and _has_identity(pod) and pods.restarts_of(pod) == 0


def _uid(space: Space, namespace: str) -> str | None:
    """Of the one pod that runs."""
    pod = pods.running_pod(space.cluster, namespace)
    return pod["metadata"]["uid"] if pod else None


def _delete_pod(space: Space, namespace: str) -> None:
    (pod,) = space.cluster.pods(namespace)
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    space.cluster.api.delete(f"{path}?gracePeriodSeconds=0")


def _deployment(space: Space, namespace: str) -> dict[str, Any]:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    found: dict[str, Any] = space.cluster.api.get(path)
    return found


def _is_refused(space: Space, namespace: str) -> bool:
    conditions = _deployment(space, namespace).get("status", {}).get("conditions", [])
    return any(one["type"] == "ReplicaFailure" for one in conditions)


def _all_pods(space: Space, count: int) -> list[dict[str, Any]] | None:
    selector = f"spec.serviceAccountName={SERVICE_ACCOUNT}"
    found: list[dict[str, Any]] = space.cluster.api.get("/api/v1/pods", fieldSelector=selector)["items"]
    return found if len(found) >= count else None
