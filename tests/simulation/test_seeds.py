"""The simulation itself: it repeats, it finds a deliberate bug, and it holds over thousands of seeds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.proof.records import Record

ROOT = Path(__file__).parents[2]
PROCESSES = str(min(os.cpu_count() or 1, 8))
SEEDS = 2_500


def _simulate(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


def test_a_seed_is_the_same_schedule_each_time_and_another_seed_another() -> None:
    one, again, other = (_simulate("--seed", seed) for seed in ("101", "101", "0"))
    assert one.returncode == 0, one.stdout
    assert "iam            applies mxp-backup" in one.stdout
    assert again.stdout == one.stdout
    assert other.stdout != one.stdout


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, 20_000, SEEDS))
def test_no_invariant_is_broken_by_20000_random_schedules_of_faults(first: int, record: Record) -> None:
    done = _simulate("--seeds", str(SEEDS), "--from", str(first), "--processes", PROCESSES, seconds=3600)
    assert done.returncode == 0, done.stdout
    summary = dict(re.findall(r"([a-z ]+): (\d+)", done.stdout.splitlines()[-1]))
    assert int(summary[" invariants broken"]) == 0
    record(
        f"a simulated Space, {SEEDS:,} seeds from each first one; `make test` runs the first 500",
        first_seed=first,
        documents_written=int(summary["documents written"]),
        external_edits_lost_between_a_read_and_its_write=int(
            summary[" external edits lost between read and write"]
        ),
        invariants_broken=0,
    )
