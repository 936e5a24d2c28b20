"""The runner of the proof, run on tests made up for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.ledger import Ledger
from tests.proof.records import Measurement

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
COMMAND += "sys.exit(prove([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], all_of_them=True))"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    page = tmp_path / "proof.md"
    page.write_text("as it was")
    return page


def prove(target: Path, tests: str, code: str = "c0de") -> subprocess.CompletedProcess[str]:
    """Run the proof on tests of the given source, in a folder that sees this project's conftest."""
    file = target.parent / "test_claims.py"
    file.write_text(tests)
    (target.parent / "conftest.py").write_text("from tests.conftest import record\n__all__ = ['record']\n")
    return subprocess.run(
        [sys.executable, "-c", COMMAND, str(file), str(target), code], capture_output=True, text=True, check=False
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
    assert page.count(" with `c0de`.") == 2


def test_a_claim_that_fails_is_named_and_leaves_the_page_while_the_others_stay(target: Path) -> None:
    cheese = FAILING.replace("assert False", "record('It is cheese', moons=1)")
    assert prove(target, PASSING + cheese).returncode == 0
    assert "## It is cheese\n" in target.read_text()
    result = prove(target, PASSING + FAILING, "other")
    assert result.returncode != 0
    assert "not proved: the moon is cheese" in result.stderr
    page = target.read_text()
    assert "## It is cheese\n" not in page
    assert "## Nothing is lost\n" in page
    assert page.count(" with `other`.") == 2


def test_a_proof_that_was_stopped_goes_on_where_it_was_and_measures_nothing_twice(target: Path) -> None:
    assert prove(target, PASSING + FAILING).returncode != 0
    result = prove(target, PASSING + FAILING.replace("assert False", "record('It is cheese', moons=1)"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed before, with this code" in result.stdout
    page = target.read_text()
    assert page.count("| many | 12,000 | 0.5 |") == 1
    assert "## It is cheese\n" in page
    assert "passed before" not in prove(target, PASSING, "other").stdout


def test_the_page_says_with_which_code_each_claim_passed_and_forgets_tests_that_are_gone(
    target: Path,
) -> None:
    assert prove(target, PASSING).returncode == 0
    assert prove(target, PASSING.partition("def test_that")[0], "other").returncode == 0
    page = target.read_text()
    assert "## Nothing is lost\n" in page
    assert " with `other`.\n" in page
    assert "## That records nothing\n" not in page


def test_nothing_to_prove_is_no_proof(target: Path) -> None:
    result = prove(target, "def test_unmarked(): pass")
    assert result.returncode != 0
    assert target.read_text() == "as it was"


def test_two_parts_that_are_proved_at_the_same_time_are_both_entered(tmp_path: Path) -> None:
    one, other = (Ledger(tmp_path / "proof.json", "c0de") for _ in range(2))
    one.passed("a", [])
    other.passed("b", [Measurement("b", "It is so", {"times": 2})])
    one.failed("c")
    (measured,) = (proof.measured for proof in Ledger(tmp_path / "proof.json", "c0de").proofs if proof.measured)
    assert [tuple(each) for each in measured] == [("It is so", {"times": 2})]
    assert one.proved_now == {"a", "b"}
