"""The pod gate: no pod of a bound ServiceAccount starts without identity, and nobody has to restart anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT, host_namespace_name
from rig.permissions import PROGRAM
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import kubernetes_events
from tests.e2e.releases import Release, released
from tests.e2e.scenes import create_account, create_namespace
from tests.support.pods_by_identity import CASES, Case

pytestmark = pytest.mark.rig

EKS = "eks-pod-identity-webhook"
OFTEN = {"interval": "500ms"}
POLICY = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{PROGRAM}-pods-0"
FORBIDDEN = 403
VIOLATION = "validation.policy.admission.k8s.io/validation_failure"


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with Space(quota=131072) as space, released(space, podGate="deny", reconciler=OFTEN) as running:
        eventually(lambda: _is_refused(space, objects.pod(create_namespace(space), "probe")), "the gate holds")
        yield running


@pytest.fixture
def webhook(release: Release) -> Iterator[Webhook]:
    with _replica(release) as running:
        yield running


@pytest.mark.usefixtures("webhook")
def test_a_pod_with_identity_is_let_in_at_once(release: Release) -> None:
    namespace = _control_plane(release.space)
    _runs_with_identity(release.space, namespace)
    assert not kubernetes_events(release.space, namespace, "FailedCreate")


@pytest.mark.usefixtures("webhook")
def test_with_ekss_webhook_stopped_no_pod_is_let_in_and_the_retry_succeeds(release: Release) -> None:
    space = release.space
    with space.cluster.stopped(EKS):
        namespace = _control_plane(space)
        _is_held_back(space, namespace)
    _runs_with_identity(space, namespace)


def test_with_ours_down_no_pod_is_let_in_and_the_retry_succeeds(release: Release) -> None:
    space = release.space
    namespace = _control_plane(space)
    _is_held_back(space, namespace)
    with _replica(release):
        _runs_with_identity(space, namespace)


@pytest.mark.parametrize(
    "pod",
    [
        lambda bound, _: objects.pod(bound, "of-nobody", "default"),
        lambda _, free: objects.pod(free, "of-the-same-name"),
    ],
    ids=["another ServiceAccount", "a namespace that no binding selects"],
)
def test_other_pods_are_untouched(release: Release, pod: Callable[[str, str], dict[str, Any]]) -> None:
    space = release.space
    bound, free = create_namespace(space), create_namespace(space, selected=False)
    for namespace in (bound, free):
        space.cluster.create([objects.service_account(namespace)])
        _wait_for_default_account(space, namespace)
    assert not space.cluster.api.create(pod(bound, free)).warnings


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_container_must_have_it_that_eks_was_not_told_to_skip(release: Release, case: Case) -> None:
    namespace = create_namespace(release.space)
    release.space.cluster.create([objects.service_account(namespace)])
    pod = case.pod(namespace, "half")
    if not case.lacking:
        assert not release.space.cluster.api.create(pod).warnings
        return
    with pytest.raises(ApiError) as refused:
        release.space.cluster.api.create(pod)
    assert refused.value.code == FORBIDDEN
    assert f"EKS gave no identity to: {', '.join(case.lacking)}." in refused.value.message


def test_the_api_server_finds_nothing_to_warn_of_in_the_policy(release: Release) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = release.space.cluster.api.get(POLICY).get("status", {})
        return found if "observedGeneration" in found else {}

    assert not eventually(status, "the policy is checked").get("typeChecking", {}).get("expressionWarnings")


def test_warn_lets_the_pod_in_and_tells_its_creator_and_the_audit_log(release: Release) -> None:
    space = release.space
    release.helm.upgrade(release.values(podGate="warn", reconciler=OFTEN))
    try:
        namespace = create_namespace(space)
        space.cluster.create([objects.service_account(namespace)])
        pod = objects.pod(namespace, "late")

        def warnings() -> list[str]:
            try:
                return space.cluster.api.create(pod, dryRun="All").warnings
            except ApiError:  # not known yet: it still denies
                return []

        (said,) = eventually(warnings, "a warning")
        assert "ServiceAccount mxp-controller is bound to an AWS role (backup)" in said
        space.cluster.api.create(pod)
        noted = eventually(lambda: _audited(space, namespace), "the audit log has it")
        assert "Warn" in noted[-1]
        assert "EKS gave no identity to: controller" in noted[-1]
    finally:
        release.helm.upgrade(release.values(podGate="deny", reconciler=OFTEN))
        eventually(lambda: _is_refused(space, objects.pod(create_namespace(space), "probe")), "the gate holds")


@contextmanager
def _replica(release: Release) -> Iterator[Webhook]:
    """A replica that the API server calls for the length of a `with` block."""
    webhook = release.start_replica()
    release.wait_until_called()
    try:
        yield webhook
    finally:
        release.balancer.remove(webhook.port)
        webhook.process.kill()


def _control_plane(space: Space) -> str:
    namespace = host_namespace_name()
    space.cluster.create([objects.namespace(namespace, {CONTROL_PLANE_LABEL: "control-plane"})])
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    return namespace


def _is_held_back(space: Space, namespace: str) -> None:
    refusals = eventually(lambda: kubernetes_events(space, namespace, "FailedCreate"), "the pod is refused")
    assert "is bound to an AWS role (backup), but EKS gave no identity to: controller" in refusals[0]["message"]
    assert space.cluster.pods(namespace) == []


def _runs_with_identity(space: Space, namespace: str) -> None:
    """One pod runs, the first there ever was, and it has an identity."""
    pod = eventually(lambda: pods.running_pod(space.cluster, namespace), "a pod runs", timeout=60)
    assert "AWS_ROLE_ARN" in pods.environment_of(pod)
    assert pods.restarts_of(pod) == 0
    assert len(space.cluster.pods(namespace)) == 1
    (replica_set,) = space.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
    assert replica_set["metadata"]["ownerReferences"][0]["name"] == SERVICE_ACCOUNT


def _is_refused(space: Space, pod: dict[str, Any]) -> bool:
    namespace = pod["metadata"]["namespace"]
    space.cluster.create([objects.service_account(namespace)])
    try:
        space.cluster.api.create(pod, dryRun="All")
    except ApiError as error:
        return "EKS gave no identity" in error.message
    return False


def _wait_for_default_account(space: Space, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    eventually(lambda: len(space.cluster.api.get(path)["items"]) > 1, "the default ServiceAccount is there")


def _audited(space: Space, namespace: str) -> list[str]:
    return [
        event["annotations"][VIOLATION]
        for event in space.cluster.audit_events()
        if event.get("objectRef", {}).get("namespace") == namespace and VIOLATION in event.get("annotations", {})
    ]
