"""docs/use/commands.md, walked: every command shown there, on a broken control plane and a good one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from rig.permissions import PROGRAM
from rig.space import external_statements
from rig.waiting import eventually
from tests.guides.stage import DOCS, Site, Stage, stage

PAGE = DOCS / "use" / "commands.md"
DEAD_ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/" + "C3" * 16
BROKEN = "mxp-36dcd7ce-01ed-442c-85ef-d895197fde16-system"
WELL = "mxp-2c0acc2b-dc6f-4418-8c6b-d4dd6e515b08-system"
EXTERNAL = "mxp-ee2fa808-9e34-4714-a5bc-324d0272cf36-system"
REGISTRATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{PROGRAM}"
GATE = "--set podGate=warn"
"""So that a pod can start without identity, as the page shows."""

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {}}) as found:
        yield found


@pytest.mark.rig
def test_the_commands_print_what_their_page_shows(running: Stage) -> None:
    assert PAGE.name == "commands.md"
    site, role = running.sites["spaces"], running.role("mxp-backup")
    with running.reading(PAGE) as reader:
        reader.section("setup")
        assert running.aws.admin_client("iam").list_roles()["Roles"] == [], "a plan"

        running.install("spaces", PROGRAM, GATE)
        _write_trust(running, external_statements(running.aws.account))
        site.released.kill()
        site.cluster.api.delete(REGISTRATION)
        _create(site, BROKEN, "orders")
        reader.step()

        _label(site, BROKEN, None)
        chart = "charts/mxp-identity-webhook --namespace mxp-identity --values spaces.yaml"
        running.shell(f"helm upgrade mxp-identity-webhook {chart} {GATE}")
        site.released.start_again()
        _create(site, WELL, "payments")
        eventually(lambda: site.assumed(WELL, role).ok, "it is trusted")
        reader.step()
        assert site.first_pod_assumes(WELL, role)

        site.released.kill()
        _label(site, BROKEN, "orders")
        site.cluster.create([objects.namespace(EXTERNAL, {CONTROL_PLANE_LABEL: "external"})])
        by_hand = {ROLE_ANNOTATION: running.role("by-hand")}
        site.cluster.create([objects.service_account(EXTERNAL, annotations=by_hand)])
        reader.step()
        reader.step()
        assert site.assumed(BROKEN, role).ok

        _write_trust(running, [*_trust(running), _of_a_cluster_that_is_gone(running)])
        reader.section("plan and apply")
        reader.section("restart")
        assert pods.environment_of(site.pod(BROKEN))["AWS_ROLE_ARN"] == role
        reader.section("report")
        reader.section("config check")


def _create(site: Site, host: str, name: str) -> None:
    site.cluster.create(objects.control_plane(name, host))
    eventually(lambda: pods.running_pod(site.cluster, host), f"a pod of {host} runs")


def _label(site: Site, host: str, value: str | None) -> None:
    site.cluster.api.patch(f"/api/v1/namespaces/{host}", {"metadata": {"labels": {CONTROL_PLANE_LABEL: value}}})


def _trust(running: Stage) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(running.aws.history("mxp-backup")[-1].document)["Statement"]
    return statements


def _write_trust(running: Stage, statements: list[dict[str, Any]]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    running.aws.admin_client("iam").update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=document)


def _of_a_cluster_that_is_gone(running: Stage) -> dict[str, Any]:
    """What this program left in the role for a cluster of the same installation."""
    return {
        "Sid": "MxpIdentity9624d429",
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{running.aws.account}:oidc-provider/{DEAD_ISSUER}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{DEAD_ISSUER}:aud": "sts.amazonaws.com",
                f"{DEAD_ISSUER}:sub": [
                    "system:serviceaccount:mxp-5f0c1f0e-2b1a-4c55-9d1e-6a1f6f7f0c11-system:mxp-controller"
                ],
            }
        },
    }
