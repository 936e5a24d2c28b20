"""docs/use/guides/rollback.md, walked: backups work through failed upgrades and without the webhook."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import pods
from rig.aws.identity import assume
from rig.kubernetes import objects
from rig.space import external_statements
from tests.guides.stage import DOCS, Site, Stage, stage

PAGE = DOCS / "use" / "guides" / "rollback.md"
HOSTS = {
    "orders": "mxp-1d2f8b0a-6f5e-4f0b-9c55-7f3f5a1f0c01-system",
    "during-the-failure": "mxp-2e3a9c1b-7a6f-4a1c-8d66-8a4a6b2a1d02-system",
    "without-webhook": "mxp-3f4bad2c-8b7a-4b2d-9e77-9b5b7c3b2e03-system",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": HOSTS}) as found:
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_backups_work_through_failed_upgrades_and_without_the_webhook(running: Stage) -> None:
    site, role = running.sites["spaces"], running.role("mxp-backup")
    orders = HOSTS["orders"]
    running.install("spaces", "mxp-identity-webhook")
    _add_external_statement(running)
    site.spaces.add("orders")
    before = site.released.replicas

    with running.reading(PAGE) as reader:
        reader.section("1. Before an upgrade")
        reader.step()
        reader.step()
        assert site.released.replicas == before, "the old pods keep answering"
        site.spaces.add("during-the-failure")
        assert site.first_pod_assumes(HOSTS["during-the-failure"], role)
        reader.section("2. An upgrade that fails")
        reader.section("3. An upgrade that becomes ready and is wrong")
        assert site.released.replicas != before
        assert site.assumed(orders, role).ok

        _recreate_workloads(site, orders)
        reader.section("4. A control plane that is rolled back")
        assert _pod_assumes(site, orders, role)

        reader.section("5. Remove the webhook")
        assert site.released.replicas == []
        assert _pod_assumes(site, orders, role), "a pod that starts without the webhook"
        site.spaces.add("without-webhook")
        assert not site.assumed(HOSTS["without-webhook"], role).ok

        reader.section("6. Install it again")
        assert _pod_assumes(site, HOSTS["without-webhook"], role)

        iam = running.aws.admin_client("iam")
        deny_all = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [deny_all]})
        iam.update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=document)
        reader.section("7. A trust policy that was damaged")
        assert all(site.assumed(host, role).ok for host in HOSTS.values())
        assert "BreakGlass" in running.aws.history("mxp-backup")[-1].document


def _add_external_statement(running: Stage) -> None:
    document = json.loads(running.aws.history("mxp-backup")[-1].document)
    document["Statement"] += external_statements(running.aws.account)
    running.aws.admin_client("iam").update_assume_role_policy(
        RoleName="mxp-backup", PolicyDocument=json.dumps(document)
    )


def _recreate_workloads(site: Site, host: str) -> None:
    """What Spaces does when a control plane's workloads are rolled back."""
    site.cluster.api.delete(f"/apis/apps/v1/namespaces/{host}/deployments/mxp-controller")
    site.cluster.api.delete(f"/api/v1/namespaces/{host}/serviceaccounts/mxp-controller")
    site.cluster.create([objects.service_account(host), objects.deployment(host)])
    site.cluster.wait_for_deployment(host, "mxp-controller")


def _pod_assumes(site: Site, host: str, role: str) -> bool:
    pod = site.pod(host)
    given = pods.environment_of(pod).get("AWS_ROLE_ARN")
    return given == role and assume(site.aws, role, pods.projected_token(site.cluster, pod)).ok
