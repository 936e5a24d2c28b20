"""What `setup` makes and writes, on a real node: from there to a pod with credentials by EKS Pod Identity.

Releases and namespaces have names of their own, beside the release of the other files of this folder.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from rig.chart import Helm
from rig.node.client import aws_variables, control_plane
from rig.node.images import Image
from rig.node.installation import WAIT
from rig.node.node import Node
from rig.space import Space
from tests.cli.commands import Ran, environment
from tests.cli.setup.accounts import BUCKET, told
from tests.node.credentials import PATIENCE_S, assert_credentials, has_agent, has_token, pod_of
from webhook.cli.trust_statements import FIRST_OF_SETUP

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

REPOSITORY = Path(__file__).parents[2]
BY_PODS = ("--mode", "pod-identity")


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


@pytest.mark.proof
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
        assert_credentials(node, pod_of(node, host, has_agent), "fresh-backup")
        assert len(node.api.get(f"/apis/apps/v1/namespaces/{host}/replicasets")["items"]) == 1


@pytest.mark.proof
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
        by_token = pod_of(node, host, has_token)
        assert_credentials(node, by_token, "early-backup")

        assert "trust policy of early-backup without NobodyYet, which denies EKS" in person.setup(*BY_PODS)
        person.release(person.helm.upgrade)
        moved = person.run(
            "migrate", "backup", "--to", "pod-identity", "--release-namespace", "early", "--approve"
        )
        assert moved.code == 0, moved.out + moved.err
        by_agent = pod_of(node, host, lambda pod: has_agent(pod) and not has_token(pod))
        assert_credentials(node, by_agent, "early-backup")
