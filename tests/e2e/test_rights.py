"""The program has the least rights: without any one of them something that people rely on fails, and shows."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from rig.gate import GATE_PATH
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import CERTIFICATE_SECRET, GATE
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import annotation, is_trusted, kubernetes_events, log_events
from tests.e2e.rights import (
    OWN_ACCOUNTS,
    REGISTRATIONS,
    account_rights,
    cluster_rights,
    roles,
    without_account_right,
    without_cluster_right,
)
from tests.e2e.scenes import LEASES, bare_space, create_account, create_namespace, label
from tests.support.reviews import review
from webhook.model.names import Subject

QUOTA = 4096
OFTEN = {"interval": "500ms"}
REMEDIATION: dict[str, Any] = {
    **OFTEN,
    "nudgeRefusedPods": True,
    "restartPodsWithoutIdentity": True,
}
REFUSED_BEFORE = "mxp-refused-before-system"
"""A namespace whose Deployment is refused its pod since before the replica started."""


@dataclass(frozen=True)
class Scene:
    """A Space and the replica in it."""

    space: Space
    webhook: Webhook


@dataclass(frozen=True)
class Need:
    """What works with a right: `works` tries it.

    `shows` is the log's event that tells people of the lack, and `says` a part of that line's reason.
    """

    works: Callable[[Scene], bool]
    shows: str
    says: str = "forbidden"
    sections: Mapping[str, Any] = field(default_factory=dict)


def lists(scene: Scene) -> bool:
    """It becomes ready, which takes its first lists."""
    return scene.webhook.is_ready()


def hears_of_namespaces(scene: Scene) -> bool:
    """A namespace is trusted before it has a ServiceAccount."""
    namespace = create_namespace(scene.space)
    return _comes_true(lambda: _in_policy(scene.space, namespace))


def hears_of_accounts(scene: Scene) -> bool:
    """An annotation that was taken away comes back, in a cluster that does not ask the scene.webhook."""
    namespace = create_namespace(scene.space)
    with _not_asked(scene.space):
        create_account(scene.space, namespace)
    return _comes_true(lambda: annotation(scene.space, namespace) == scene.space.roles[0])


def looks_up_namespaces(scene: Scene) -> bool:
    """A review in a namespace that the watch does not show is answered without a warning."""
    content = review(Subject(objects.host_namespace_name(), SERVICE_ACCOUNT))
    answer = httpx.post(scene.webhook.url, json=content, verify=False, trust_env=False, timeout=10)
    return "warnings" not in answer.raise_for_status().json()["response"]


def annotates_late(scene: Scene) -> bool:
    """A namespace that is labelled late gets its annotation."""
    namespace = create_namespace(scene.space, selected=False)
    create_account(scene.space, namespace)
    label(scene.space, namespace, {CONTROL_PLANE_LABEL: "late"})
    return _comes_true(lambda: annotation(scene.space, namespace) == scene.space.roles[0])


def counts_pods(scene: Scene) -> bool:
    """A pod without identity is listed."""
    namespace = create_namespace(scene.space)
    create_account(scene.space, namespace)
    scene.space.cluster.create([objects.pod(namespace, "controller")])
    return _comes_true(lambda: bool(log_events(scene.webhook, "pod_without_identity", namespace=namespace)))


def writes_events(scene: Scene) -> bool:
    """A late annotation is told of with an Event."""
    namespace = create_namespace(scene.space, selected=False)
    create_account(scene.space, namespace)
    label(scene.space, namespace, {CONTROL_PLANE_LABEL: "late"})
    return _comes_true(lambda: bool(kubernetes_events(scene.space, namespace, "AnnotatedLate")))


def makes_trust(scene: Scene) -> bool:
    """A control plane is trusted."""
    namespace = create_namespace(scene.space)
    create_account(scene.space, namespace)
    return is_trusted(scene.space, namespace)


def makes_trust_again(scene: Scene) -> bool:
    """A second control plane is trusted after the first."""
    return makes_trust(scene) and makes_trust(scene)


def makes_the_first_trust(scene: Scene) -> bool:
    """A control plane is trusted where no Lease is there yet."""
    scene.space.cluster.api.delete(LEASES)
    return makes_trust(scene)


def knows_the_quota(scene: Scene) -> bool:
    """The account's quota is used, not IAM's default."""
    gauge = "mxp_identity_trust_policy_quota_characters"
    return _comes_true(lambda: scene.webhook.metrics().total(gauge) == QUOTA)


def checks_the_provider(scene: Scene) -> bool:
    """It says whether the cluster's OIDC provider can be used."""
    return _comes_true(lambda: bool(log_events(scene.webhook, "oidc_provider_usable")))


def comes_to_be_ready(scene: Scene) -> bool:
    """Its own authority is in the registration."""
    return _comes_true(scene.webhook.is_ready)


def renews_its_secret(scene: Scene) -> bool:
    """Garbage in the certificate Secret is replaced."""
    garbage = dict.fromkeys(["ca.crt", "ca.key"], "Z2FyYmFnZQ==")
    scene.space.cluster.api.patch(SECRET, {"data": garbage})
    return _comes_true(
        lambda: scene.space.cluster.api.get(SECRET)["data"]["ca.crt"] != garbage["ca.crt"], seconds=20
    )


def retries(scene: Scene) -> bool:
    """A Deployment whose pod was refused is retried once its ServiceAccount has its identity."""
    namespace = create_namespace(scene.space)
    _refuse_pods(scene.space, namespace)
    create_account(scene.space, namespace)
    return _comes_true(lambda: _is_retried(scene.webhook, namespace), seconds=10)


def retries_what_was_refused_before(scene: Scene) -> bool:
    """So is one whose pod was refused before the program started."""
    return _comes_true(lambda: _is_retried(scene.webhook, REFUSED_BEFORE), seconds=10)


def restarts(scene: Scene) -> bool:
    """A Deployment whose pod has no identity is restarted."""
    namespace = create_namespace(scene.space)
    create_account(scene.space, namespace)
    scene.space.cluster.create([objects.deployment(namespace)])
    try:
        return _comes_true(lambda: bool(log_events(scene.webhook, "deployment_restarted", namespace=namespace)), 6)
    finally:  # here nothing gives pods an identity, and a restart in vain would keep the next one waiting
        scene.space.cluster.api.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}")


def closes_the_gate(scene: Scene) -> bool:
    """The binding is marked, so that pods may be refused."""
    scene.space.cluster.api.patch(GATE_PATH, {"metadata": {"annotations": {MARK: None}}})

    def is_marked() -> bool:
        return MARK in scene.space.cluster.api.get(GATE_PATH)["metadata"].get("annotations", {})

    return _comes_true(is_marked, seconds=20)


MARK = "mxp-identity/refuses-0123456789abcdef"
GATED: dict[str, Any] = {"podGate": {"serviceAccount": GATE, "marks": {MARK: "backup"}}}
SECRET = f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/{CERTIFICATE_SECRET}"
SELF_MANAGED: dict[str, Any] = {"certificates": {"extraNames": ["127.0.0.1"]}}
CLUSTER = {
    ("namespaces", "get"): Need(looks_up_namespaces, "namespace_unknown"),
    ("namespaces", "list"): Need(lists, "watch_failed"),
    ("namespaces", "watch"): Need(hears_of_namespaces, "watch_failed"),
    ("serviceaccounts", "list"): Need(lists, "watch_failed"),
    ("serviceaccounts", "watch"): Need(hears_of_accounts, "watch_failed"),
    ("serviceaccounts", "get"): Need(annotates_late, "late_annotation_failed"),
    ("serviceaccounts", "patch"): Need(annotates_late, "late_annotation_failed"),
    ("pods", "list"): Need(counts_pods, "pods_not_found"),
    (REGISTRATIONS, "get"): Need(comes_to_be_ready, "certificates_problem", sections=SELF_MANAGED),
    (REGISTRATIONS, "patch"): Need(comes_to_be_ready, "certificates_problem", sections=SELF_MANAGED),
    ("secrets", "get"): Need(comes_to_be_ready, "certificates_problem", sections=SELF_MANAGED),
    ("secrets", "update"): Need(renews_its_secret, "certificates_problem", sections=SELF_MANAGED),
    ("deployments", "get"): Need(retries, "rollout_retry_failed", sections={"reconciler": REMEDIATION}),
    ("deployments", "list"): Need(
        retries_what_was_refused_before, "refused_deployments_not_found", sections={"reconciler": REMEDIATION}
    ),
    ("deployments", "patch"): Need(restarts, "restart_failed", sections={"reconciler": REMEDIATION}),
    (OWN_ACCOUNTS, "get"): Need(closes_the_gate, "pod_gate_not_kept", sections=GATED),
    (OWN_ACCOUNTS, "patch"): Need(closes_the_gate, "pod_gate_not_kept", sections=GATED),
    ("events", "create"): Need(writes_events, "event_not_written"),
    ("leases", "get"): Need(makes_trust, "trust_not_written"),
    ("leases", "create"): Need(makes_the_first_trust, "trust_not_written"),
    ("leases", "update"): Need(makes_trust_again, "trust_not_written"),
}
ACCOUNT = {
    "iam:GetRole": Need(makes_trust, "trust_not_written", "AccessDenied"),
    "iam:UpdateAssumeRolePolicy": Need(makes_trust, "trust_not_written", "AccessDenied"),
    "iam:GetOpenIDConnectProvider": Need(checks_the_provider, "oidc_provider_not_checked", "AccessDenied"),
    "iam:GetAccountSummary": Need(knows_the_quota, "quota_unknown", "AccessDenied"),
}


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space(quota=QUOTA) as running:
        running.cluster.apply(roles())
        running.cluster.create([objects.namespace(REFUSED_BEFORE, {CONTROL_PLANE_LABEL: "control-plane"})])
        _refuse_pods(running, REFUSED_BEFORE)
        create_account(running, REFUSED_BEFORE, role=running.roles[0])
        yield running


def test_the_tables_name_each_right_once() -> None:
    assert sorted(CLUSTER) == sorted(cluster_rights())
    assert sorted(ACCOUNT) == sorted(account_rights())


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.parametrize("right", CLUSTER, ids=" ".join)
def test_each_right_in_the_cluster_is_needed(space: Space, right: tuple[str, str]) -> None:
    resource, verb = right
    with without_cluster_right(space, resource, verb):
        _assert_missed(space, CLUSTER[right])


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.parametrize("action", ACCOUNT)
def test_each_right_in_the_account_is_needed(space: Space, action: str) -> None:
    with without_account_right(space, action):
        _assert_missed(space, ACCOUNT[action])


@pytest.mark.rig
@pytest.mark.proof
def test_with_all_rights_all_of_it_works(space: Space) -> None:
    with _registered(space, reconciler=REMEDIATION, **SELF_MANAGED, **GATED) as webhook:
        webhook.wait_until_ready()
        for need in [*CLUSTER.values(), *ACCOUNT.values()]:
            assert need.works(Scene(space, webhook)), need.works.__doc__
            assert not _complaints(webhook, need), need.shows


def _assert_missed(space: Space, need: Need) -> None:
    with _registered(space, **need.sections) as webhook:
        assert not need.works(Scene(space, webhook)), need.works.__doc__
        eventually(lambda: _complaints(webhook, need), f"a line {need.shows} in the log")


def _complaints(webhook: Webhook, need: Need) -> list[dict[str, Any]]:
    return [line for line in log_events(webhook, need.shows) if need.says in line["reason"]]


@contextmanager
def _registered(space: Space, **sections: Any) -> Iterator[Webhook]:
    """A replica that leads, and that the API server calls for the length of a `with` block, ready or not."""
    _let_the_next_lead(space)
    webhook = space.start_webhook(space.configuration(**{"reconciler": OFTEN, **sections}), wait=False)
    webhook.wait_until_serving()
    try:
        space.register(webhook.url)
        yield webhook
    finally:
        space.unregister()
        webhook.process.kill()


def _let_the_next_lead(space: Space) -> None:
    """The replica before was killed, and its Lease would last for seconds."""
    space.cluster.api.delete(LEASES)


def _comes_true(holds: Callable[[], bool], seconds: float = 3.0) -> bool:
    """Whether something comes true within a few seconds, many times what it takes."""
    try:
        return eventually(holds, "it", timeout=seconds)
    except TimeoutError:
        return False


@contextmanager
def _not_asked(space: Space) -> Iterator[None]:
    """The API server asks no webhook for the length of a `with` block."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    (registration,) = space.cluster.api.get(path)["items"]
    space.unregister()
    eventually(lambda: not space.is_called(), "the API server knows that it calls no webhook")
    yield
    del registration["metadata"]["resourceVersion"]
    space.cluster.api.post(path, registration)


def _refuse_pods(space: Space, namespace: str) -> None:
    """Make a Deployment whose pods are refused for ever, and wait until its controller has tried."""
    deployment = objects.deployment(namespace)
    deployment["spec"]["template"]["spec"]["priorityClassName"] = "there-is-none"
    space.cluster.create([deployment])
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"

    def is_refused() -> bool:
        conditions = space.cluster.api.get(path).get("status", {}).get("conditions", [])
        return any(one["type"] == "ReplicaFailure" for one in conditions)

    eventually(is_refused, "the pod is refused")


def _is_retried(webhook: Webhook, namespace: str) -> bool:
    return bool(log_events(webhook, "rollout_retried", namespace=namespace))


def _in_policy(space: Space, namespace: str) -> bool:
    return f"system:serviceaccount:{namespace}:" in json.dumps(space.policy())
