"""With `observe: true` nothing changes but the program's own certificate, and all that would be done is shown."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import (
    CERTIFICATE_SECRET,
    PROGRAM,
    iam_policy,
    kubernetes_objects,
    pod_identity_policy,
    reading,
)
from rig.space import EKS_CLUSTER, WEBHOOK_NAME, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.cli.commands import environment, run
from tests.e2e.observe import annotation, log_events, writes_of_the_program
from tests.e2e.replicas import api_server
from tests.e2e.scenes import create_account, create_namespace, leases

CROWD = 50
LARGE = 131072
INTERVAL = 60.0
"""Seconds, the default of `reconciler.interval`."""
OFTEN = {"interval": "500ms"}
CHANGES = "mxp_identity_observed_changes"
READING = ("Get", "List", "Describe", "AssumeRole")
CERTIFICATE = {
    f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/{CERTIFICATE_SECRET}",
    f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK_NAME}",
}
KINDS = [
    "/api/v1/namespaces",
    "/api/v1/serviceaccounts",
    "/api/v1/secrets",
    "/api/v1/configmaps",
    "/api/v1/events",
    "/api/v1/pods",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/events.k8s.io/v1/events",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
]


@pytest.mark.rig
def test_a_burst_changes_nothing_and_is_shown_and_is_granted_once_it_is_switched_off() -> None:
    with api_server() as cluster, Space(cluster=cluster, quota=LARGE) as space:
        before = space.policy()
        webhook = space.start_webhook(_observing(space, certificates={"extraNames": ["127.0.0.1"]}), wait=False)
        webhook.wait_until_serving()
        space.register(webhook.url, "Fail")
        webhook.wait_until_ready()
        everyone = _burst(space)
        eventually(lambda: _all_counted(webhook, CROWD, "trust", "annotate"), "all are counted")
        for event in ("would_trust", "would_annotate"):
            assert sorted(line["namespace"] for line in log_events(webhook, event)) == everyone
        versions = _versions(space)
        _look_again(webhook)

        assert _versions(space) == versions, "an object has changed"
        assert not any(path.endswith("/events") for path, _, _ in versions)
        assert {line.split()[1].partition("?")[0] for line in writes_of_the_program(space)} == CERTIFICATE
        assert leases(space) == []
        assert {annotation(space, namespace) for namespace in everyone} == {None}
        assert space.policy() == before
        assert {action for action, _ in space.aws.calls if not action.startswith(READING)} == SETTING_UP
        assert webhook.metrics().total("mxp_identity_unexpected_errors_total") == 0
        assert webhook.metrics().total("mxp_identity_observing") == 1
        _assert_planned(space, webhook, everyone)

        assert webhook.terminate() == 0
        space.unregister()
        writing = space.start_webhook(space.configuration())
        space.register(writing.url)
        eventually(lambda: _is_done(space, everyone), "all are annotated and trusted", timeout=INTERVAL)
        assert writing.metrics().total("mxp_identity_observing") == 0


@pytest.mark.rig
@pytest.mark.parametrize(("mode", "changes"), [("irsa", ("annotate", "trust")), ("pod-identity", ("associate",))])
def test_rights_to_read_are_enough_to_observe(mode: str, changes: tuple[str, ...]) -> None:
    with api_server() as cluster, Space(cluster=cluster, rights=False, eks_lag=0.0) as space:
        space.cluster.apply(kubernetes_objects([SERVICE_ACCOUNT], observe=True))
        _let_it_only_read(space)
        configuration = space.in_mode(mode, observe=True, reconciler=OFTEN)
        webhook = space.start_webhook(configuration)
        create_account(space, create_namespace(space))
        eventually(lambda: _all_counted(webhook, 1, *changes), "it is counted")
        _look_again(webhook)
        complaints = [line for line in webhook.log() if line["level"] in {"warning", "error"}]
        assert complaints == []
        assert writes_of_the_program(space) == []


SETTING_UP = {"CreateOpenIDConnectProvider", "CreateRole", "PutRolePolicy"}
"""What the rig's administrator does in AWS before the program starts."""


def _observing(space: Space, **sections: Any) -> dict[str, Any]:
    remediation = {"nudgeRefusedPods": True, "restartPodsWithoutIdentity": True}
    sections = {"admission": {"onTrustFailure": "deny"}, "reconciler": {**OFTEN, **remediation}, **sections}
    return space.configuration(observe=True, **sections)


def _burst(space: Space) -> list[str]:
    """Create control planes at once; answers their namespaces."""
    crowd = [objects.control_plane(f"control-plane-{number}") for number in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as threads:
        list(threads.map(space.cluster.create, crowd))
    return sorted(items[0]["metadata"]["name"] for items in crowd)


def _all_counted(webhook: Webhook, count: int, *changes: str) -> bool:
    shown = webhook.metrics()
    return all(shown.total(CHANGES, change=change) == count for change in changes)


def _look_again(webhook: Webhook) -> None:
    """Wait until it has looked three times more."""
    name = "mxp_identity_pass_duration_seconds_count"
    looks = webhook.metrics().total(name)
    eventually(lambda: webhook.metrics().total(name) >= looks + 3, "further looks")


def _versions(space: Space) -> set[tuple[str, str, str]]:
    return {
        (
            path,
            f"{item['metadata'].get('namespace')}/{item['metadata']['name']}",
            item["metadata"]["resourceVersion"],
        )
        for path in KINDS
        for item in space.cluster.api.get(path)["items"]
    }


def _assert_planned(space: Space, webhook: Webhook, everyone: list[str]) -> None:
    planned = run("plan", "--config", str(webhook.file), "-o", "json", env=environment(space))
    (role,) = planned.document["roles"]
    assert planned.document["observing"]
    assert sorted(one["namespace"] for one in role["added"]) == everyone
    assert sorted(one["namespace"] for one in planned.document["annotations"]) == everyone
    verified = run("verify", everyone[0], "--config", str(webhook.file), env=environment(space))
    assert "only observes (observe: true), so that nothing gets an identity from it" in verified.out
    read = run("plan", "--config", str(webhook.file), env=environment(space))
    assert "the running program only observes" in read.out


def _is_done(space: Space, everyone: list[str]) -> bool:
    trusted = json.dumps(space.policy())
    return all(
        f"system:serviceaccount:{namespace}:" in trusted and annotation(space, namespace) == space.roles[0]
        for namespace in everyone
    )


def _let_it_only_read(space: Space) -> None:
    cluster = space.aws.admin_client("eks").describe_cluster(name=EKS_CLUSTER)["cluster"]["arn"]
    policies = {
        "trust": iam_policy(space.roles, space.provider_arn, space.role_arn(PROGRAM)),
        "pod-identity": pod_identity_policy(space.roles, cluster),
    }
    for name, policy in policies.items():
        document = json.dumps(reading(policy))
        space.aws.admin_client("iam").put_role_policy(RoleName=PROGRAM, PolicyName=name, PolicyDocument=document)
