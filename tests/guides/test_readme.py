"""README.md, walked: the demo on simulated nodes, the installation, and what `verify` finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, GROUP_LABEL
from tests.guides.stage import REPOSITORY, Stage, stage

PAGE = REPOSITORY / "README.md"
MADE = "mxp-a0bc1e9d-f241-4c9e-8fee-0cc1e3ac9f10-system"
WRONG = "mxp-36dcd7ce-01ed-442c-85ef-d895197fde16-system"
SETUP = "--bucket my-backups --region us-west-2 --image registry.example.com/mxp-identity-webhook:0.1.0"
FIRST_POD = "1 ReplicaSet, 1 pod (the first), 0 restarts. 2 external statements: as they were."


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {"orders": MADE}}) as found:
        yield found


@pytest.mark.rig
@pytest.mark.timeout(600)
def test_the_readmes_commands_do_what_it_says(running: Stage) -> None:
    assert PAGE.name == "README.md"
    site, role = running.sites["spaces"], running.role("mxp-backup")
    with running.reading(PAGE) as reader:
        one, fifty = reader.section("See it", as_shown=False)  # names and times are of the moment
        for text in (one.out, PAGE.read_text()):
            assert FIRST_POD in text
        for text in (fifty.out, PAGE.read_text()):
            figures = {
                line.rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in text.splitlines() if line.strip()
            }
            assert figures["control planes"] == figures["tokens that AWS accepted"] == "50"
            assert figures["pods that run with AWS_ROLE_ARN"] == "50"
            assert figures["restarts"] == "0"

        running.shell(f"mxp-identity setup {SETUP} --values values.yaml --approve")
        reader.section("Install it")
        site.spaces.add("orders")
        assert site.first_pod_assumes(MADE, role)

        site.released.kill()
        site.cluster.create(
            [
                objects.namespace(WRONG, {CONTROL_PLANE_LABEL: "billing", GROUP_LABEL: "default"}),
                objects.service_account(WRONG),
            ]
        )
        reader.section("When something is wrong")
