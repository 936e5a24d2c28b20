"""docs/run/get-the-command.md, walked: the command from the wheel, from the image, and in the running pod."""

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.client import aws_variables, control_plane
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.permissions import PROGRAM
from rig.release.source import exported
from rig.release.wheel import build_wheel
from rig.space import EKS_CLUSTER
from tests.guides.stage import DOCS
from tests.guides.walk import Walk
from tests.node.reader import docker, shell_on
from tests.release.repositories import repository_in
from webhook import VERSION

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

PAGE = DOCS / "run" / "get-the-command.md"
SEES_NO_CONTROL_PLANE_BROKEN = "with findings: 0"


@pytest.fixture
def home(installed: Installation, tmp_path: Path) -> Path:
    """A reader's home with a wheel in `dist` and the account's keys, and nothing else."""
    with exported(repository_in(tmp_path / "repository")) as source:
        (tmp_path / "home" / "dist").mkdir(parents=True)
        build_wheel(source, tmp_path / "home" / "dist")
    root = installed.space.aws.root
    keys = f"aws_access_key_id = {root.access_key_id}\naws_secret_access_key = {root.secret_access_key}\n"
    (tmp_path / "home" / ".aws").mkdir()
    (tmp_path / "home" / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    return tmp_path / "home"


@pytest.mark.proof
def test_the_page_gets_a_command_that_works_in_three_ways(
    installed: Installation, node: Node, image: Image, home: Path
) -> None:
    aws = installed.space.aws
    installed.space.cluster.create(control_plane(installed.space, image, "command"))
    in_containers = {each["name"]: each["value"] for each in aws_variables(installed.space)}
    in_containers["AWS_REGION"] = aws.region
    token = yaml.safe_load(node.kubeconfig.read_text())["users"][0]["user"]["token"]
    installed_by_pipx = home / ".local" / "bin" / "mxp-identity"
    enter = shlex.join(map(str, node.place.command([])))
    tools = {
        "mxp-identity": f'#!/bin/sh\nexec {enter} {installed_by_pipx} "$@"\n',  # where the API server is reached
        "aws": f"#!/bin/sh\n[ \"$4\" = {EKS_CLUSTER} ] && echo '{token}'\n",
        "docker": docker(home, node, image, in_containers),
    }
    with shell_on(home, node, {}, tools) as shell, Walk(PAGE, shell) as reader:
        for name, value in in_containers.items():
            shell.run(f"export {name}={value}")
        shell.run(f"export IMAGE={image.name} CLUSTER={EKS_CLUSTER}")
        _, version, by_pipx = reader.section("With pipx")
        assert version.out == f"{VERSION}\n"
        assert installed_by_pipx.is_file()
        *_, by_docker, _ = reader.section("With docker")
        (in_pod,) = reader.section("In the running pod")
    for ran in (by_pipx, by_docker):
        assert "ok webhook: a ServiceAccount sent through as a dry run is returned annotated" in ran.out
        assert SEES_NO_CONTROL_PLANE_BROKEN in ran.out
    assert "problems: 0" in in_pod.out


def in_the_pod(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    release = ["--namespace", OWN_NAMESPACE, f"deployment/{PROGRAM}", "--", "mxp-identity", *words]
    return node.kubectl("exec", *release)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report"], 0, "roles: 1, ServiceAccounts of this cluster: "),
        (["verify"], 0, "its MutatingWebhookConfiguration could not be read"),
        (["restart"], 0, "no pod lacks its identity"),
    ],
)
def test_in_the_pod_a_command_has_the_rights_of_the_webhook(
    installed: Installation, node: Node, words: list[str], code: int, said: str
) -> None:
    assert installed.pods()
    ran = in_the_pod(node, *words, "--config", "/etc/mxp-identity/config.yaml")
    assert (ran.returncode, said in ran.stdout + ran.stderr) == (code, True), ran.stdout + ran.stderr


def test_in_the_pod_a_command_cannot_list_config_maps(installed: Installation, node: Node) -> None:
    assert installed.pods()
    ran = in_the_pod(node, "plan")
    assert ran.returncode == 1
    assert "configmaps is forbidden" in ran.stderr


def test_in_the_pod_setup_is_refused_by_aws(installed: Installation, node: Node) -> None:
    assert installed.pods()
    ran = in_the_pod(node, "setup", "--bucket", "my-backups", "--region", installed.space.aws.region)
    assert ran.returncode == 1
    assert "AccessDenied" in ran.stderr
