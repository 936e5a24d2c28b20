"""`make demo` in both modes, on simulated nodes: what it shows is there, and it fails where it is not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rig.demo.stage import BINARIES, SIMULATED
from rig.tools.catalogue import catalogue
from rig.tools.store import cache_folder
from tests.support.variants import variants

MODES = {"irsa": "AWS_ROLE_ARN", "pod-identity": "AWS_CONTAINER_CREDENTIALS_FULL_URI"}


def demo(*arguments: str, cache: Path | None = None) -> str:
    env = None if cache is None else {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "rig.demo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def only_what_it_builds(tmp_path: Path) -> Path:
    """A cache folder as the demo fills an empty one."""
    folder = tmp_path / cache_folder().name / "bin"
    folder.mkdir(parents=True)
    for name in BINARIES[SIMULATED]:
        key = catalogue()[name].key
        (folder / key).symlink_to(cache_folder() / "bin" / key)
    return tmp_path


@pytest.mark.rig
@pytest.mark.parametrize("mode", variants(MODES))
def test_one_control_plane_gets_its_identity_and_the_screen_shows_how(
    mode: str, only_what_it_builds: Path
) -> None:
    shown = demo("1", mode, "simulated", cache=only_what_it_builds)
    assert "level: simulated nodes" in shown
    assert f"{MODES[mode]}=" in shown
    assert re.search(r"now arn:aws:sts::123456789012:assumed-role/mxp-backup/", shown)
    assert "s3://my-backups/default/my-control-plane/backup" in shown
    assert "1 pod (the first)" in shown
    assert ", 0 restarts." in shown


@pytest.mark.rig
@pytest.mark.proof
def test_by_pod_identity_the_association_and_both_answers_of_the_trust_policy_are_shown() -> None:
    shown = demo("1", "pod-identity", "simulated")
    assert re.search(r"^ +a-[a-z0-9]{17}: arn:aws:iam::123456789012:role/mxp-backup$", shown, re.MULTILINE)
    assert "mxp-identity/cluster: arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod" in shown
    assert "A pod of namespace team-a, associated by hand, is refused" in shown
    assert "AccessDeniedException: " in shown
    assert '"aws:RequestTag/kubernetes-namespace": "mxp-*-system"' in shown


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.parametrize("mode", MODES)
def test_fifty_at_once_all_get_theirs_and_nothing_is_restarted(mode: str) -> None:
    shown = demo("50", mode, "simulated")
    counts = dict(re.findall(r"^ *(\S.*?) {2,}(\d+)\s*$", shown, re.MULTILINE))
    assert counts[f"pods that run with {MODES[mode]}"] == "50"
    assert counts["tokens that AWS accepted"] == "50"
    assert counts["restarts"] == "0"


@pytest.mark.parametrize("wrong", [("0",), ("one",), ("1", "both"), ("1", "irsa", "paper")])
def test_a_call_that_it_does_not_understand_is_answered_with_what_it_does(wrong: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rig.demo", *wrong], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "MODE is irsa or pod-identity" in done.stdout
