"""docs/run/upgrade.md, walked: the product is left, and the control plane keeps its access."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import pods
from tests.guides.stage import DOCS, Stage, stage

PAGE = DOCS / "run" / "upgrade.md"
ORDERS = "mxp-4a5cbe3d-9c8b-4c3e-af88-ac6c8d4c4f04-system"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {"orders": ORDERS}}) as found:
        yield found


@pytest.mark.rig
def test_the_product_is_left_and_its_control_plane_keeps_its_access(running: Stage) -> None:
    assert PAGE.name == "upgrade.md"
    site, role = running.sites["spaces"], running.role("mxp-backup")
    running.install("spaces", "mxp-identity-webhook")
    site.spaces.add("orders")
    assert site.first_pod_assumes(ORDERS, role)
    with running.reading(PAGE) as reader:
        reader.section("Leave")
    assert site.assumed(ORDERS, role).ok
    assert pods.environment_of(site.pod(ORDERS))["AWS_ROLE_ARN"] == role
    assert "MxpIdentity" not in running.aws.history("mxp-backup")[-1].document
