"""Control planes by their own names: in what a person types, and in every table and document of the commands."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws import AwsStandIn
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, GROUP_LABEL, SERVICE_ACCOUNT
from tests.cli.commands import Ran, call
from tests.support.stub_api_server import StubApiServer

ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
ORDERS, TWIN, BILLING, UNNAMED = (f"mxp-{number * 8}-1f0e-4b1a-8c55-9d1e6a1f6f7f-system" for number in "abcd")
BINDING = {
    "name": "backup",
    "serviceAccount": SERVICE_ACCOUNT,
    "namespaces": {"pattern": "mxp-*-system"},
    "mode": "irsa",
    "roles": [ROLE],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "BreakGlass",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "sts:AssumeRole",
        },
        {
            "Sid": "OtherCluster",
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.example/id/B"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    "oidc.example/id/B:sub": [
                        "system:serviceaccount:mxp-5f0c1f0e-2b1a-4c55-9d1e-6a1f6f7f0c11-system:mxp-controller",
                        f"system:serviceaccount:{'n' * 60}:{'a' * 200}",
                    ]
                }
            },
        },
    ],
}


@dataclass(frozen=True)
class Scene:
    """A cluster with four control planes, two of them of one name, and an account with their role."""

    api: StubApiServer
    environment: dict[str, str]
    file: Path

    def __call__(self, command: str, *arguments: str) -> Ran:
        """Run a command with a file."""
        return call(command, "--config", str(self.file), *arguments, env=self.environment)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("names")
    file = folder / "configuration.yaml"
    configuration = {"namespace": "mxp-identity", "cluster": {"name": "spaces-prod"}, "bindings": [BINDING]}
    file.write_text(yaml.safe_dump(configuration))
    with AwsStandIn() as aws, StubApiServer(ISSUER) as api:
        api.come()
        for namespace, name, group in (
            (ORDERS, "orders", "default"),
            (TWIN, "orders", "team-b"),
            (BILLING, "billing", "default"),
            (UNNAMED, "", ""),
        ):
            labels = {CONTROL_PLANE_LABEL: name, GROUP_LABEL: group} if name else {}
            api.add(namespace, SERVICE_ACCOUNT, labels)
            api.objects[f"/api/v1/namespaces/{namespace}/pods/mxp-1"] = {
                "metadata": {"name": "mxp-1", "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"serviceAccountName": SERVICE_ACCOUNT, "containers": [{"name": "c"}]},
                "status": {"phase": "Running"},
            }
        iam = aws.admin_client("iam")
        iam.create_role(RoleName="mxp-backup", AssumeRolePolicyDocument=json.dumps(TRUST))
        kubeconfig = api.kubeconfig(folder, "a-token")
        plain = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        yield Scene(api, {**aws.environment(base=plain), "KUBECONFIG": str(kubeconfig)}, file)


def test_every_table_has_the_names(scene: Scene) -> None:
    plan = scene("plan").out
    assert f"  + default/orders  {ORDERS}/mxp-controller  binding backup selects it" in plan
    assert f"  + {UNNAMED}/mxp-controller  binding backup selects it" in plan
    report = scene("report").out
    assert f"not-trusted  team-b/orders  {TWIN}/mxp-controller\n" in report
    restart = scene("restart").out.splitlines()
    assert restart[0].split() == ["CONTROL", "PLANE", "NAMESPACE", "DEPLOYMENT", "PODS", "WHAT", "WHY"]
    assert [line.split()[:3] for line in restart if BILLING in line] == [["default/billing", BILLING, "none"]]
    verify = scene("verify").out
    assert f"\ndefault/billing  {BILLING}/mxp-controller\n" in verify
    assert f"\n{UNNAMED}/mxp-controller\n" in verify


def test_every_document_has_the_names(scene: Scene) -> None:
    found = {
        "plan": scene("plan", "-o", "json").document["annotations"],
        "report": scene("report", "-o", "json").document["access"],
        "restart": scene("restart", "-o", "json").document["restarts"],
        "verify": scene("verify", "-o", "json").document["controlPlanes"],
        "csv": list(csv.DictReader(io.StringIO(scene("report", "-o", "csv").out))),
    }
    for command, records in found.items():
        names = {
            one["namespace"]: (one["controlPlane"] or None, one["group"] or None)
            for one in records
            if one["namespace"]
        }
        assert names == {
            ORDERS: ("orders", "default"),
            TWIN: ("orders", "team-b"),
            BILLING: ("billing", "default"),
            UNNAMED: (None, None),
        }, command


CHOSEN: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "a name": (("billing",), {BILLING}),
    "a name and its group": (("orders", "--group", "team-b"), {TWIN}),
    "a host namespace in place of a name": ((UNNAMED,), {UNNAMED}),
    "a host namespace": (("--namespace", ORDERS), {ORDERS}),
    "a group": (("--group", "default"), {ORDERS, BILLING}),
}


@pytest.mark.parametrize("case", CHOSEN)
@pytest.mark.parametrize(
    ("command", "key"), [("verify", "controlPlanes"), ("restart", "restarts"), ("report", "access")]
)
def test_what_is_typed_chooses(scene: Scene, command: str, key: str, case: str) -> None:
    arguments, expected = CHOSEN[case]
    answer = scene(command, *arguments, "-o", "json")
    assert {one["namespace"] for one in answer.document[key]} == expected, answer.err


UNKNOWN: dict[tuple[str, ...], str] = {
    ("nosuch",): 'no control plane or namespace "nosuch"',
    ("biling",): 'no control plane or namespace "biling"; did you mean billing?',
    ("orders",): (f'control plane "orders" is there 2 times: default ({ORDERS}), team-b ({TWIN}); use --group'),
    ("--namespace", "nosuch"): 'no namespace "nosuch"',
    ("--group", "nosuch"): 'no control plane in group "nosuch"; groups: default, team-b',
    ("--release-namespace", "nosuch"): 'no namespace "nosuch"',
}


@pytest.mark.parametrize("arguments", UNKNOWN, ids=" ".join)
@pytest.mark.parametrize("command", ["verify", "restart", "report"])
def test_an_unknown_name_ends_with_2_before_aws_is_asked(
    scene: Scene, command: str, arguments: tuple[str, ...]
) -> None:
    nowhere = {**scene.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    answer = call(command, "--config", str(scene.file), *arguments, env=nowhere)
    assert (answer.code, answer.out, answer.err) == (2, "", f"Error: {UNKNOWN[arguments]}\n")


OTHERS: dict[tuple[str, ...], str] = {
    ("plan", "--release-namespace", "nosuch"): 'no namespace "nosuch"',
    ("apply", "--release-namespace", "nosuch"): 'no namespace "nosuch"',
    ("migrate", "backup", "--to", "irsa", "--release-namespace", "nosuch"): 'no namespace "nosuch"',
    ("migrate", "nosuch", "--to", "irsa"): 'no binding "nosuch"; available: backup',
}


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_so_does_every_other_command(scene: Scene, words: tuple[str, ...]) -> None:
    nowhere = {**scene.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    answer = call(*words, "--config", str(scene.file), env=nowhere)
    assert (answer.code, answer.out, answer.err) == (2, "", f"Error: {OTHERS[words]}\n")


def test_the_report_fits_100_columns_whatever_is_in_it(scene: Scene) -> None:
    answer = scene("report")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 100
    assert "  mxp-5f0c1f0e-2b1a-4c55-9d1e-6a1f6f7f0c11-system/mxp-controller\n" in answer.out


def _config_map(name: str, labels: dict[str, str], configuration: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "mxp-identity", "labels": labels}
    return {"metadata": metadata, "data": {"config.yaml": yaml.safe_dump(configuration)}}


def test_the_release_is_found_in_its_namespace_or_its_lack_is_an_error(scene: Scene) -> None:
    answer = call("plan", env=scene.environment)
    error = "Error: no release in namespace mxp-identity; use --release-namespace, or --config\n"
    assert (answer.code, answer.err) == (2, error)
    at = "/api/v1/namespaces/mxp-identity/configmaps"
    labels = {"mxp-identity/component": "webhook", "app.kubernetes.io/name": "overridden"}
    scene.api.objects[f"{at}/a"] = _config_map("a", labels, {"bindings": [BINDING]})
    assert call("plan", env=scene.environment).code == 3
    scene.api.objects[f"{at}/b"] = _config_map("b", labels, {"bindings": [BINDING]})
    answer = call("plan", env=scene.environment)
    assert (answer.code, answer.err) == (2, "Error: 2 releases in namespace mxp-identity (a, b); use --config\n")
    del scene.api.objects[f"{at}/a"], scene.api.objects[f"{at}/b"]


def test_verify_prints_commands_of_helm_for_the_release_by_its_name(scene: Scene) -> None:
    at = "/api/v1/namespaces/mxp-identity/configmaps"
    labels = {"mxp-identity/component": "webhook", "app.kubernetes.io/instance": "prod"}
    scene.api.objects[f"{at}/a"] = _config_map("a", labels, {"bindings": [BINDING]})
    answer = call("verify", env=scene.environment)
    assert "\n      helm upgrade prod charts/mxp-identity-webhook -n mxp-identity " in answer.out
