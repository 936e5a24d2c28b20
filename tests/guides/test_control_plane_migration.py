"""docs/use/guides/control-plane-migration.md, walked: a control plane moves, and always has access somewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides.stage import DOCS, Stage, stage

PAGE = DOCS / "use" / "guides" / "control-plane-migration.md"
THERE = "mxp-6c7eda5f-be0d-4e5a-8baa-ce8eaf6e5b06-system"
HERE = "mxp-7d8feb6a-cf1e-4f6b-9cbb-df9fb07f6c07-system"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    clusters = {
        "spaces-a": {"orders": THERE},
        "spaces-b": {"orders": HERE},
    }
    with stage(tmp_path, clusters) as found:
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_a_control_plane_moves_and_leaves_no_trust_behind(running: Stage) -> None:
    old, new = running.sites["spaces-a"], running.sites["spaces-b"]
    role = running.role("mxp-backup")
    running.install("spaces-a", "mxp-identity-webhook")
    old.spaces.add("orders")

    with running.reading(PAGE) as reader:
        reader.section("1. Make the new cluster ready")
        reader.section("2. Recreate the control plane")
        assert new.first_pod_assumes(HERE, role)
        assert old.first_pod_assumes(THERE, role), "both have access while it moves"
        reader.section("3. Move its state")
        reader.section("4. Leave the old place")
        assert new.first_pod_assumes(HERE, role)
    document = running.aws.history("mxp-backup")[-1].document
    assert THERE not in document
    gone = old.cluster.issuer.removeprefix("https://")
    assert gone not in document, "the cluster's statement is removed with its last control plane"
