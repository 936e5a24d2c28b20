"""docs/use/guides/disaster-recovery.md, walked: a control plane comes back in another cluster."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from rig.aws.identity import assume
from rig.backups import Controller
from rig.kubernetes.spaces_backups import DEFINITIONS, config, serves_backups
from rig.space import AUDIENCE
from rig.waiting import eventually
from tests.guides.stage import DOCS, Stage, stage

PAGE = DOCS / "use" / "guides" / "disaster-recovery.md"
LOST = "mxp-6b1f3f5e-3c0f-4a53-9d9b-0d2f0c9a7a11-system"
WRITTEN = "the orders of last night"
RESTORED = "mxp-c2a7d0be-91f7-4c57-8a0e-5a1f6e4f2b22-system"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    clusters = {
        "spaces-old": {"orders": LOST},
        "spaces-new": {"orders": RESTORED},
    }
    with stage(tmp_path, clusters) as found:
        for site in found.sites.values():
            site.cluster.create(DEFINITIONS)
            eventually(partial(serves_backups, site.cluster.api), "the API server serves the kinds of backups")
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_a_control_plane_is_restored_in_another_cluster_and_the_lost_one_is_shut_out(running: Stage) -> None:
    old, new = running.sites["spaces-old"], running.sites["spaces-new"]
    role = running.role("mxp-backup")
    running.install("spaces-old", "mxp-identity-webhook")
    old.spaces.add("orders")
    lost = Controller(old.cluster, running.aws, LOST, "default", "orders")
    old.cluster.create([config("default", "my-backups")])
    assert lost.write(role, WRITTEN) == WRITTEN
    token = old.cluster.token(LOST, "mxp-controller", audience=AUDIENCE)
    assert assume(running.aws, role, token).ok
    running.lose("spaces-old")

    with running.reading(PAGE) as reader:
        reader.section("1. Make the other cluster ready")
        assert len(new.released.replicas) == 2

        reader.section("2. Restore the control plane")
        assert new.first_pod_assumes(RESTORED, role)
        assert assume(running.aws, role, token).ok, "both issuers are trusted"

        reader.section("3. See that it has access")
        restored = Controller(new.cluster, running.aws, RESTORED, "default", "orders")
        assert restored.read(role) == WRITTEN, "by its own SharedBackupConfig, identity and prefix"
        assert set(running.aws.bucket("my-backups").objects) == {"default/orders/backup"}, "no probe is left"

        reader.section("4. Deny the lost cluster")
        assert assume(running.aws, role, token).code != "OK"
        assert new.assumed(RESTORED, role).ok
    document = running.aws.history("mxp-backup")[-1].document
    assert old.cluster.issuer.removeprefix("https://") not in document
