"""The chart's README.md, walked: its values are enough for a release that gives control planes their identity."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides.stage import REPOSITORY, Stage, stage

PAGE = REPOSITORY / "charts" / "mxp-identity-webhook" / "README.md"
HOST = "mxp-9fab0d8c-e130-4b8d-9edd-fbb0d29b8e09-system"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {"orders": HOST}}) as found:
        yield found


@pytest.mark.rig
def test_the_charts_own_example_gives_a_control_plane_its_identity(running: Stage) -> None:
    assert PAGE.name == "README.md"
    site = running.sites["spaces"]
    running.shell("mxp-identity setup --bucket my-backups --region us-west-2 --approve")
    with running.reading(PAGE) as reader:
        reader.section("mxp-identity-webhook")
        site.spaces.add("orders")
        assert site.first_pod_assumes(HOST, running.role("mxp-backup"))
