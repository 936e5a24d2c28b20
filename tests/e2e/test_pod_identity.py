"""Mode pod-identity with EKS's own webhook: the first pod waits until EKS knows, and starts with identity."""

from collections.abc import Iterator
from functools import partial

import pytest

from rig import pods
from rig.gate import wait_until_marked
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.permissions import REMEDIATION, kubernetes_objects
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.e2e.observe import (
    annotation,
    audit_annotations,
    audit_event,
    created,
    kubernetes_events,
    log_events,
)
from tests.e2e.pod_identity import associated, association, credentials, has_pod_identity, serving_pods
from tests.e2e.releases import Release, released
from tests.e2e.scenes import create_account, create_namespace, whole_space

pytestmark = pytest.mark.rig

LAG_S = 3.0
FOR_LONG_S = 300.0
"""Longer than any Deployment takes to try its first pod."""
TOGETHER = 10


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The chart in mode pod-identity, its gate in force, and a replica that the API server calls."""
    cluster = {"name": EKS_CLUSTER}
    with (
        whole_space(eks_lag=LAG_S) as space,
        released(space, cluster=cluster, binding={"mode": "pod-identity"}) as running,
    ):
        running.wait_until_in_force()
        running.start_replica()
        running.wait_until_called()
        wait_until_marked(space.cluster)
        yield running


@pytest.fixture
def space(release: Release) -> Space:
    return release.space


def test_the_association_is_there_before_the_service_account(space: Space) -> None:
    namespace = create_namespace(space)
    made = associated(space, namespace)
    space.aws.forget_calls()
    create_account(space, namespace)
    said = audit_annotations(audit_event(space, namespace))
    assert (said["binding"], said["role"]) == ("backup", space.roles[0])
    assert said["trust"] in {"already", "written"}
    assert annotation(space, namespace) is None
    assert space.aws.count("CreatePodIdentityAssociation") == 0
    assert made.role_arn == space.roles[0]
    assert made.tags["mxp-identity/cluster"].endswith(f":cluster/{EKS_CLUSTER}")


def test_the_first_pod_waits_for_eks_and_is_the_only_one_there_ever_was(space: Space) -> None:
    space.join_eks(FOR_LONG_S)
    namespace = create_namespace(space)
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    refusals = eventually(lambda: kubernetes_events(space, namespace, "FailedCreate"), "the pod is held back")
    space.join_eks(LAG_S)
    assert "EKS gave no identity to: controller" in refusals[0]["message"]
    pod = eventually(lambda: pods.running_pod(space.cluster, namespace), "a pod runs", timeout=60)
    assert has_pod_identity(pod)
    assert pods.restarts_of(pod) == 0
    assert len(space.cluster.pods(namespace)) == 1


def test_its_credentials_are_judged_by_the_trust_policy(space: Space) -> None:
    namespace = create_namespace(space)
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    pod = eventually(lambda: pods.running_pod(space.cluster, namespace), "a pod runs", timeout=60)
    found = credentials(space, pod)
    assert f":assumed-role/mxp-backup/eks-{EKS_CLUSTER}-" in found.arn
    ours = [one for one in space.policy()["Statement"] if one.get("Sid", "").startswith("MxpIdentity")]
    assert len(ours) == 1
    assert ours[0]["Condition"]["StringLike"] == {"aws:RequestTag/kubernetes-namespace": "mxp-*-system"}


def test_an_external_association_outside_the_pattern_opens_nothing(space: Space) -> None:
    space.cluster.create([objects.namespace("team-a"), objects.service_account("team-a")])
    space.aws.admin_client("eks").create_pod_identity_association(
        clusterName=EKS_CLUSTER, namespace="team-a", serviceAccount=SERVICE_ACCOUNT, roleArn=_role(space)
    )
    probe = objects.pod("team-a", "probe")

    def injected() -> bool:
        return has_pod_identity(dict(space.cluster.api.create(probe, dryRun="All")))

    eventually(injected, "EKS knows of it", timeout=60)
    space.cluster.create([probe])
    pod = eventually(lambda: pods.running_pod(space.cluster, "team-a"), "the pod runs", timeout=60)
    refused = credentials(space, pod)
    assert not refused.ok
    assert "EKS does not have permissions to assume the associated role" in refused.reason


def test_many_at_once_have_one_association_each_and_one_statement_together(space: Space) -> None:
    made = [create_namespace(space) for _ in range(TOGETHER)]
    written = len(space.aws.history("mxp-backup"))
    for namespace in made:
        create_account(space, namespace)
        space.cluster.create([objects.deployment(namespace)])
    for namespace in made:
        pod = eventually(partial(pods.running_pod, space.cluster, namespace), "a pod runs", timeout=90)
        assert has_pod_identity(pod)
        assert association(space, namespace)
    assert len(space.aws.history("mxp-backup")) == written
    assert set(created(space, "pods", made).values()) == {1}


def _role(space: Space) -> str:
    """The bound role, once its trust lets EKS in at all."""
    associated(space, create_namespace(space))
    return space.roles[0]


def test_without_the_gate_a_pod_that_came_too_early_is_reported() -> None:
    with whole_space(eks_lag=LAG_S) as space, serving_pods(space, reconciler={"interval": "500ms"}):
        namespace = create_namespace(space)
        create_account(space, namespace)
        space.cluster.create([objects.deployment(namespace)])
        pod = eventually(lambda: pods.running_pod(space.cluster, namespace), "a pod runs", timeout=60)
        assert not has_pod_identity(pod)
        told = eventually(lambda: kubernetes_events(space, namespace, "StartedWithoutIdentity"), "it is reported")
        assert "restart its Deployment" in told[0]["message"]


@pytest.mark.proof
def test_without_the_gate_and_with_restarts_a_pod_that_came_too_early_is_replaced_once() -> None:
    remediation = {"interval": "500ms", "restartPodsWithoutIdentity": True}
    with whole_space(eks_lag=LAG_S) as space:
        space.cluster.apply(kubernetes_objects([SERVICE_ACCOUNT], **REMEDIATION))
        with serving_pods(space, reconciler=remediation) as webhook:
            namespace = create_namespace(space)
            create_account(space, namespace)
            space.cluster.create([objects.deployment(namespace)])
            early = eventually(lambda: pods.running_pod(space.cluster, namespace), "a pod runs", timeout=60)
            assert not has_pod_identity(early)
            eventually(lambda: log_events(webhook, "rollout_ended"), "the rollout has ended", timeout=90)
            (pod,) = space.cluster.pods(namespace)
            assert has_pod_identity(pod)
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
            assert space.cluster.api.get(path)["metadata"]["generation"] == 2
