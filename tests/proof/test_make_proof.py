"""The runner of the proof, run on tests made up for it."""

import subprocess
import sys
from pathlib import Path

import pytest

PASSING = """
import pytest
pytestmark = pytest.mark.proof

@pytest.mark.parametrize("count", [7, 12000], ids=["few", "many"])
def test_counts(count, record):
    record("Nothing is lost", subjects_trusted=count, took_s=0.5)

def test_that_records_nothing():
    pass
"""
FAILING = """
@pytest.mark.proof
def test_the_moon_is_cheese(record):
    assert False
"""
COMMAND = "import sys; from pathlib import Path; from tests.proof.__main__ import prove; "
COMMAND += "from tests.proof.progress import Progress; target = Path(sys.argv[2]); "
COMMAND += "sys.exit(prove([sys.argv[1]], {}, Progress(target.parent / 'progress')))"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    page = tmp_path / "proof.md"
    page.write_text("as it was")
    return page


def prove(target: Path, tests: str, page: str = "target") -> subprocess.CompletedProcess[str]:
    """Run the proof on tests of the given source, in a folder that sees this project's conftest."""
    file = target.parent / "test_claims.py"
    file.write_text(tests)
    (target.parent / "conftest.py").write_text("from tests.conftest import record\n__all__ = ['record']\n")
    return subprocess.run(
        [sys.executable, "-c", COMMAND.format(page), str(file), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_page_says_what_each_claim_measured_and_how_to_measure_it_again(target: Path) -> None:
    result = prove(target, PASSING)
    assert result.returncode == 0, result.stdout + result.stderr
    page = target.read_text()
    assert "## Nothing is lost\n" in page
    assert "|  | subjects trusted | took s |" in page
    assert "| few | 7 | 0.5 |" in page
    assert "| many | 12,000 | 0.5 |" in page
    assert "test_claims.py::test_counts\n" in page
    assert "## That records nothing\n" in page


def test_a_claim_that_fails_is_named_and_the_page_stays(target: Path) -> None:
    result = prove(target, PASSING + FAILING)
    assert result.returncode != 0
    assert "not proved: the moon is cheese" in result.stderr
    assert target.read_text() == "as it was"


def test_a_proof_that_was_stopped_goes_on_where_it_was_and_measures_nothing_twice(target: Path) -> None:
    assert prove(target, PASSING + FAILING).returncode != 0
    result = prove(target, PASSING + FAILING.replace("assert False", "record('It is cheese', moons=1)"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed before, with this code" in result.stdout
    page = target.read_text()
    assert page.count("| many | 12,000 | 0.5 |") == 1
    assert "## It is cheese\n" in page
    again = prove(target, PASSING)
    assert "passed before" not in again.stdout


def test_a_part_that_is_proved_alone_waits_for_the_page_of_all(target: Path) -> None:
    part = prove(target, PASSING, "None")
    assert part.returncode == 0, part.stdout + part.stderr
    assert target.read_text() == "as it was"
    assert "3 passed before, with this code" in prove(target, PASSING).stdout
    assert "| many | 12,000 | 0.5 |" in target.read_text()


def test_nothing_to_prove_is_no_proof(target: Path) -> None:
    result = prove(target, "def test_unmarked(): pass")
    assert result.returncode != 0
    assert target.read_text() == "as it was"
