"""docs/use/guides/other-workloads.md, walked: every workload of Spaces that uses AWS has its role, by presets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import pods
from rig.aws.identity import assume
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, GROUP_LABEL
from rig.waiting import eventually
from tests.guides.stage import DOCS, Site, Stage, stage

PAGE = DOCS / "use" / "guides" / "other-workloads.md"
HOST = "mxp-8e9afc7b-d02f-4a7c-8dcc-eafac18a7d08-system"
WORKLOADS = {
    # ServiceAccount: its Deployment and its role
    "mxp-controller": ("mxp-controller", "mxp-backup"),
    "vector": ("vector", "mxp-billing"),
    "external-secrets-controller": ("external-secrets", "mxp-shared-secrets"),
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {}}) as found:
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_each_workload_of_spaces_is_annotated_and_trusted_by_its_own_role(running: Stage) -> None:
    site = running.sites["spaces"]
    site.cluster.create([objects.namespace("upbound-system")])
    _make(site, "upbound-system", "spaces-controller", "spaces-controller")

    with running.reading(PAGE) as reader:
        reader.section("1. Roles and values")
        reader.section("2. Install")
        assert _assumes(site, "upbound-system", "spaces-controller", running.role("mxp-space-backups"))

        site.cluster.create([objects.namespace(HOST, {CONTROL_PLANE_LABEL: "orders", GROUP_LABEL: "default"})])
        for account, (deployment, _) in WORKLOADS.items():
            _make(site, HOST, account, deployment)
        for account, (_, role) in WORKLOADS.items():
            assert _assumes(site, HOST, account, running.role(role))
        assert not site.assumed(HOST, running.role("mxp-backup"), "vector").ok, "each has its own role only"
        assert len(site.cluster.api.get(f"/apis/apps/v1/namespaces/{HOST}/replicasets")["items"]) == len(WORKLOADS)

        reader.section("3. See that all have access")


def _make(site: Site, namespace: str, account: str, deployment: str) -> None:
    site.cluster.create([objects.service_account(namespace, account)])
    site.cluster.create([objects.deployment(namespace, deployment, account)])
    site.cluster.wait_for_deployment(namespace, deployment)


def _assumes(site: Site, namespace: str, account: str, role: str) -> bool:
    """Whether the ServiceAccount's pod has the role, and STS takes its token."""

    def only() -> list[dict[str, object]]:
        found = [pod for pod in site.cluster.pods(namespace) if pod["spec"]["serviceAccountName"] == account]
        return found if len(found) == 1 else []

    (pod,) = eventually(only, f"{account} has one pod")
    given = pods.environment_of(pod).get("AWS_ROLE_ARN")
    return given == role and assume(site.aws, role, pods.projected_token(site.cluster, pod)).ok
