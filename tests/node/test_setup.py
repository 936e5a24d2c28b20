"""What `setup` makes and writes, on a real node: from there to a pod with credentials by EKS Pod Identity.

Releases and namespaces have names of their own, beside the release of the other files of this folder.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws.pod_client import FULL_URI
from rig.chart import Helm
from rig.node.agent import start_agent
from rig.node.client import GOT, aws_variables, control_plane, first_line
from rig.node.images import Image
from rig.node.installation import WAIT
from rig.node.node import Node
from rig.pods import environment_of, restarts_of, running_pod
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.cli.commands import Ran, environment
from tests.cli.setup.accounts import BUCKET, told
from webhook.iam.first_statement import FIRST_OF_SETUP

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

LAG_S = 5.0
PATIENCE_S = 180.0
REPOSITORY = Path(__file__).parents[2]
BY_PODS = ("--mode", "pod-identity")


@pytest.fixture
def on_eks(space: Space, node: Node) -> Iterator[Space]:
    """The Space on EKS, with the agent on its node."""
    space.join_eks(LAG_S)
    agent = start_agent(node, space.aws, EKS_CLUSTER)
    try:
        yield space
    finally:
        agent.kill()


class _Person:
    """A person with a release of their own, whose commands run where the node's API server is."""

    def __init__(self, space: Space, node: Node, image: Image, folder: Path, name: str) -> None:
        self.name, self.values = name, folder / f"{name}.yaml"
        self._space, self._node = space, node
        self.helm = Helm(name, name, node.kubeconfig, node.place)
        self._options = (
            *(*BUCKET, "--release", name, "--release-namespace", name, "--pattern", f"{name}-*"),
            *("--own-role", f"{name}-webhook", "--role", f"{name}-backup"),
            *("--image", image.name, "--values", str(self.values)),
        )

    def run(self, *arguments: str) -> Ran:
        """Run a command of the program, which may take its time here."""
        port = self._space.aws.url.rpartition(":")[2]
        endpoint = {"AWS_ENDPOINT_URL": f"http://{self._space.cluster.place.machine}:{port}"}
        done = subprocess.run(
            self._node.place.command([sys.executable, "-m", "webhook", *arguments]),
            env={**environment(self._space), **endpoint, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def setup(self, *more: str) -> list[str]:
        """Have the account set up, and answer what was done."""
        done = self.run("setup", *self._options, *more, "--approve")
        assert done.code == 0, done.out + done.err
        return told(done.out)

    def release(self, write: Callable[..., str]) -> None:
        """Install or upgrade the release with the values as written, and the rig's way to AWS."""
        values = yaml.safe_load(self.values.read_text())
        image = {**values["image"], "pullPolicy": "Never"}
        write({**values, "image": image, "extraEnv": aws_variables(self._space)}, *WAIT)


@contextmanager
def _person(space: Space, node: Node, image: Image, folder: Path, name: str) -> Iterator[_Person]:
    person = _Person(space, node, image, folder, name)
    try:
        yield person
    finally:
        person.helm.uninstall()


def _pod(node: Node, host: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The pod of a control plane that runs, once it is as it should be."""

    def found() -> dict[str, Any] | None:
        pod: dict[str, Any] | None = running_pod(node, host)
        return pod if pod and holds(pod) else None

    return eventually(found, f"the pod of {host} runs", timeout=PATIENCE_S)


def _assert_credentials(node: Node, pod: dict[str, Any], role: str) -> None:
    said = eventually(lambda: first_line(node, pod), "the pod's boto3 says who it is", timeout=PATIENCE_S)
    assert f":assumed-role/{role}/" in said
    assert said.startswith(GOT)
    assert restarts_of(pod) == 0


def _has_agent(pod: dict[str, Any]) -> bool:
    return FULL_URI in environment_of(pod)


def test_what_setup_makes_and_writes_gives_a_control_planes_first_pod_credentials(
    on_eks: Space, node: Node, image: Image, tmp_path: Path
) -> None:
    with _person(on_eks, node, image, tmp_path, "fresh") as person:
        done = person.setup(*BY_PODS)
        assert done[-1] == "association of fresh/fresh-mxp-identity-webhook with fresh-webhook"
        person.release(person.helm.install)
        host = "fresh-1"
        (_, reply, _) = on_eks.cluster.create(control_plane(on_eks, image, "fresh", host))
        assert "annotations" not in reply["metadata"]
        _assert_credentials(node, _pod(node, host, _has_agent), "fresh-backup")
        assert len(node.api.get(f"/apis/apps/v1/namespaces/{host}/replicasets")["items"]) == 1


def test_an_account_of_an_earlier_setup_is_migrated_to_pod_identity(
    on_eks: Space, node: Node, image: Image, tmp_path: Path
) -> None:
    with _person(on_eks, node, image, tmp_path, "early") as person:
        person.setup()
        first = json.dumps({"Version": "2012-10-17", "Statement": [FIRST_OF_SETUP]})
        iam = on_eks.aws.admin_client("iam")
        iam.update_assume_role_policy(RoleName="early-backup", PolicyDocument=first)  # as that version made it
        person.release(person.helm.install)
        host = "early-1"
        on_eks.cluster.create(control_plane(on_eks, image, "early", host))
        by_token = _pod(node, host, lambda pod: "AWS_ROLE_ARN" in environment_of(pod))
        _assert_credentials(node, by_token, "early-backup")

        assert "trust policy of early-backup without NobodyYet, which denies EKS" in person.setup(*BY_PODS)
        person.release(person.helm.upgrade)
        moved = person.run(
            "migrate", "backup", "--to", "pod-identity", "--release-namespace", "early", "--approve"
        )
        assert moved.code == 0, moved.out + moved.err
        by_agent = _pod(node, host, lambda pod: _has_agent(pod) and "AWS_ROLE_ARN" not in environment_of(pod))
        _assert_credentials(node, by_agent, "early-backup")
