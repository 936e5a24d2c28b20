"""The pod gate: no pod of a bound ServiceAccount starts without identity, and nothing has to be restarted.

The release of most of these tests has the default values.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rig import pods
from rig.gate import GATE_PATH
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT, host_namespace_name
from rig.permissions import PROGRAM
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.injector import INJECTED, injecting
from tests.e2e.observe import kubernetes_events
from tests.e2e.releases import Release, released
from tests.e2e.scenes import create_account, create_namespace, end, whole_space
from tests.support.pods_by_identity import CASES, Case

pytestmark = pytest.mark.rig

EKS = "eks-pod-identity-webhook"
OFTEN = {"interval": "500ms"}
REGISTRATIONS = "/apis/admissionregistration.k8s.io/v1"
POLICIES = [f"{REGISTRATIONS}/validatingadmissionpolicies/{PROGRAM}-{name}-0" for name in ("pods", "refused-pods")]
FORBIDDEN = 403
VIOLATION = "validation.policy.admission.k8s.io/validation_failure"


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with whole_space(quota=131072) as space, released(space, reconciler=OFTEN) as running:
        running.close_gate()
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


@pytest.mark.usefixtures("webhook")
def test_a_bare_pod_is_refused_for_its_creator_and_a_stateful_set_comes_by_its_own_retry(release: Release) -> None:
    space = release.space
    namespace = create_namespace(space)
    create_account(space, namespace)
    stateful = objects.deployment(namespace, "stateful") | {"kind": "StatefulSet"}
    with space.cluster.stopped(EKS):
        space.cluster.create([stateful])
        refusals = eventually(lambda: kubernetes_events(space, namespace, "FailedCreate"), "its pod is refused")
        assert "EKS gave no identity to: controller" in refusals[0]["message"]
        with pytest.raises(ApiError) as refused:
            space.cluster.api.create(objects.pod(namespace, "bare"))
        assert refused.value.code == FORBIDDEN
    pod = eventually(lambda: pods.running_pod(space.cluster, namespace), "its pod runs", timeout=60)
    assert "AWS_ROLE_ARN" in pods.environment_of(pod)
    owner = space.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/stateful")
    assert "annotations" not in owner["metadata"], "it is not retried"


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
def test_a_pod_is_refused_where_eks_gave_none_and_warned_about_where_a_container_lacks_it(
    release: Release, case: Case
) -> None:
    pod = case.pod(release.unannotated(), "half")
    words = f"EKS gave no identity to: {', '.join(case.lacking)}."
    if case.gave_none:
        with pytest.raises(ApiError) as refused:
            release.space.cluster.api.create(pod)
        assert refused.value.code == FORBIDDEN
        assert words in refused.value.message
        return
    warnings = release.space.cluster.api.create(pod).warnings
    assert [words in warning for warning in warnings] == [True] * bool(case.lacking)


@pytest.mark.usefixtures("webhook")
def test_a_container_that_a_later_webhook_adds_keeps_no_pod_from_starting(release: Release) -> None:
    space = release.space
    with injecting(space, "zz-sidecar-injector"), _eks_is_called_once(space):
        namespace = _control_plane(space)
        _runs_with_identity(space, namespace)
        (pod,) = space.cluster.pods(namespace)
        assert [one["name"] for one in pod["spec"]["containers"]] == ["controller", INJECTED]
        assert "env" not in pod["spec"]["containers"][1]
        (warning,) = space.cluster.api.create(objects.pod(namespace, "beside"), dryRun="All").warnings
        assert f"EKS gave no identity to: {INJECTED}." in warning


@pytest.mark.parametrize("policy", POLICIES)
def test_the_api_server_finds_nothing_to_warn_of_in_the_policies(release: Release, policy: str) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = release.space.cluster.api.get(policy).get("status", {})
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
        release.helm.upgrade(release.values(reconciler=OFTEN))
        release.close_gate()


def test_without_its_parameter_the_gate_lets_pods_in(release: Release) -> None:
    namespace = release.unannotated()
    assert release.refuses(namespace)
    release.space.cluster.api.delete(GATE_PATH)
    eventually(lambda: not release.refuses(namespace), "the gate is open")
    release.helm.upgrade(release.values(reconciler=OFTEN))
    assert not release.refuses(namespace), "nothing has made a pass since"
    release.close_gate()


def test_pods_of_a_new_binding_are_not_refused_before_a_pass_while_those_of_the_others_are(
    release: Release,
) -> None:
    values = release.values(reconciler=OFTEN)
    (binding,) = values["bindings"]
    other = {**binding, "name": "billing", "namespaces": {"pattern": "billing-*"}}
    release.space.cluster.create([objects.namespace("billing-1"), objects.service_account("billing-1")])
    with _replica(release) as older:
        release.helm.upgrade({**values, "bindings": [binding, other]})
        eventually(lambda: len(_policies(release)) == 4, "the API server has the policies of both")
        space = release.space
        assert not release.refuses("billing-1")
        assert older.is_ready()
    assert release.refuses(release.unannotated())
    space.cluster.create([objects.namespace("billing-2"), objects.service_account("billing-2")])
    release.close_gate()
    assert release.marked() == ["backup", "billing"]
    assert not release.refuses("billing-1"), "it was annotated before"
    space.cluster.create([objects.namespace("billing-3"), objects.service_account("billing-3")])
    assert release.refuses("billing-3")
    release.helm.upgrade(values)
    release.close_gate()
    assert release.marked() == ["backup"]


@contextmanager
def _replica(release: Release) -> Iterator[Webhook]:
    """A replica that the API server calls for the length of a `with` block."""
    webhook = release.start_replica()
    release.wait_until_called()
    try:
        yield webhook
    finally:
        release.balancer.remove(webhook.port)
        end(release.space, webhook)


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


def _policies(release: Release) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = release.space.cluster.api.get(f"{REGISTRATIONS}/validatingadmissionpolicies")[
        "items"
    ]
    return found


@contextmanager
def _eks_is_called_once(space: Space) -> Iterator[None]:
    """EKS's webhook is not called again for what later webhooks changed, for the length of a `with` block."""
    path = f"{REGISTRATIONS}/mutatingwebhookconfigurations/pod-identity-webhook"

    def set_policy(policy: str) -> None:
        change = {"op": "replace", "path": "/webhooks/0/reinvocationPolicy", "value": policy}
        space.cluster.api.patch(path, [change], kind="json")

    set_policy("Never")
    try:
        yield
    finally:
        set_policy("IfNeeded")


def _wait_for_default_account(space: Space, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    eventually(lambda: len(space.cluster.api.get(path)["items"]) > 1, "the default ServiceAccount is there")


def _audited(space: Space, namespace: str) -> list[str]:
    return [
        event["annotations"][VIOLATION]
        for event in space.cluster.audit_events()
        if event.get("objectRef", {}).get("namespace") == namespace and VIOLATION in event.get("annotations", {})
    ]
