"""Deliberate bugs in the program itself: the suite names the invariant that each one breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mutants.bugs import Bug, all_bugs
from tests.mutants.trees import ROOT, check_applies, copied
from tests.mutants.trials import attempt, check_without_bugs

if TYPE_CHECKING:
    from tests.proof.records import Record

BUGS = all_bugs()
NAMES = [bug.name for bug in BUGS]


def test_every_patch_still_applies_to_the_program() -> None:
    with copied(ROOT) as tree:
        for bug in BUGS:
            check_applies(bug, tree)


@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_the_tests_and_assertions_that_a_patch_names_are_there(bug: Bug) -> None:
    shared = (ROOT / "tests/support/invariants.py").read_text()
    simulation = "".join(path.read_text() for path in (ROOT / "tests/simulation").glob("*.py"))
    for place in bug.places:
        if place.is_simulation:
            assert f'"{place.invariant}"' in simulation
        else:
            file, _, test = place.where.partition("::")
            source = (ROOT / file).read_text()
            assert f"def {test.partition('[')[0]}(" in source
            assert f"    {place.invariant}\n" in source + shared


@pytest.mark.proof
def test_writers_without_a_lock_are_caught() -> None:
    (bug,) = (bug for bug in BUGS if bug.name == "no-lock")
    trial = attempt(bug, ROOT)
    assert trial.caught, trial.complaint


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_without_a_bug_all_parts_of_the_suite_that_look_for_one_pass() -> None:
    check_without_bugs(BUGS, ROOT)


@pytest.mark.proof
@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_each_deliberate_bug_is_caught(bug: Bug, record: Record) -> None:
    trial = attempt(bug, ROOT)
    assert trial.caught, trial.complaint
    record(
        "A deliberate bug in the program breaks an invariant that the suite names",
        what_is_wrong=bug.broken,
        caught_by=trial.caught_by,
        invariant=trial.invariants,
        took_s=round(trial.seconds, 1),
    )
