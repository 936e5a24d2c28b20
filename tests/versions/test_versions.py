"""What a run counts as passed, and what the page says of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.versions import pythons
from tests.versions.areas import AREAS, UNIT_TESTS
from tests.versions.outcomes import Outcome, judged, read
from tests.versions.page import page
from tests.versions.pythons import ROOT, NotHadError, prepared
from tests.versions.results import Result, Results, load, save

TESTS = """
import pytest

@pytest.mark.parametrize("count", [1, 2])
def test_passes(count):
    pass

def test_passes_not():
    assert 1 == 2, "one is not two"

def test_is_skipped():
    pytest.skip("there is no moon")
"""
GOOD, BAD = Outcome(passed=1), Outcome(passed=1, failed=("test_x: no",))


@pytest.mark.parametrize("test", [test for area in AREAS for test in area.tests])
def test_each_test_of_an_area_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert (f"def {name}(" if name else "def test_") in (ROOT / file).read_text()


def test_the_floor_is_the_oldest_version_that_passed_in_all_areas() -> None:
    versions = {"1.33": {"a": GOOD, "b": BAD}, "1.34": {"a": GOOD, "b": GOOD}, "1.35": {"a": GOOD, "b": GOOD}}
    assert Results({version: Result("", "", areas) for version, areas in versions.items()}).floor == "1.34"
    assert Results({"1.33": Result("", "", {"a": BAD})}).floor is None


@pytest.fixture(scope="module")
def junit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pytest writes of four tests."""
    folder = tmp_path_factory.mktemp("made-up")
    (folder / "test_made_up.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=junit.xml", "."]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1
    return folder / "junit.xml"


@pytest.mark.parametrize(
    ("tests", "outcome", "shown"),
    [
        (["test_made_up.py::test_passes"], Outcome(2), "2 passed"),
        (
            ["test_made_up.py::test_passes", "test_made_up.py::test_is_skipped"],
            Outcome(2, not_run=("test_made_up.py::test_is_skipped: there is no moon",)),
            "2 passed, 1 not run",
        ),
        (
            ["test_made_up.py::test_passes_not"],
            Outcome(0, failed=("test_made_up.py::test_passes_not: AssertionError: one is not two",)),
            "**1 failed**, 0 passed",
        ),
        (
            ["test_made_up.py::test_pass"],
            Outcome(0, failed=("test_made_up.py::test_pass: no such test ran",)),
            "**1 failed**, 0 passed",
        ),
    ],
    ids=["passed", "skipped", "failed", "absent"],
)
def test_only_what_ran_and_passed_is_good(junit: Path, tests: list[str], outcome: Outcome, shown: str) -> None:
    found = judged(read(junit), tests)
    assert found == outcome
    assert found.shown == shown
    assert found.is_good == (shown == "2 passed")


def test_a_page_has_the_reason_for_all_that_did_not_pass(tmp_path: Path) -> None:
    areas = {area.name: GOOD for area in AREAS}
    kubernetes = {"1.33": Result("1.33.1", "", {**areas, "chart": BAD}), "1.34": Result("1.34.1", "", areas)}
    python = {"3.14": Result("3.14", "", {UNIT_TESTS: Outcome(not_run=("there is none",))})}
    file = tmp_path / "results.json"
    save(Results(kubernetes, python), file)
    text = page(load(file))
    assert "The chart refuses versions before 1.34, the oldest that passed." in text
    assert "| 1.33.1 | 1 passed | 1 passed | 1 passed | 1 passed | **1 failed**, 1 passed | 1 passed |" in text
    assert "| 3.14 |  | not run |" in text
    assert "- Kubernetes 1.33, chart, failed: test_x: no" in text
    assert "- Python 3.14, unit tests, not run: there is none" in text


def test_a_python_that_cannot_be_had_is_reported_with_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setitem(pythons.PYTHONS, "3.12", None)
    for minor, needs in (("3.13", "; Debian trixie's needs root and mmdebstrap"), ("3.12", "$")):
        with pytest.raises(NotHadError, match=f"this machine has no Python {minor}{needs}"), prepared(minor):
            pass
