"""The runner of the deliberate bugs, on a program made up for it: what counts as caught, and what does not."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

import pytest

from tests.mutants.__main__ import main
from tests.mutants.bugs import Bug, BugError
from tests.mutants.trees import apply, copied
from tests.mutants.trials import Ending, attempt, check_without_bugs

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
def add(one, other):
    return one + other
"""
SUITE = """
import pytest
from webhook.sums import add

@pytest.fixture
def three():
    return add(1, 2)

def test_sums():
    assert add(1, 1) == 2
    assert add(1, 2) == 3

def test_with_a_fixture(three):
    assert three
"""
SIMULATION = """
import sys
from webhook.sums import add
invariants = {"sums_are_right": add(1, 2) == 3, "the_simulation_runs": add(1, 9)}
broken = [name for name, holds in invariants.items() if not holds]
for name in broken:
    print(f"broken by 1 seeds: {name}")
sys.exit(bool(broken))
"""
TEST, INVARIANT = "tests/test_sums.py::test_sums", "assert add(1, 2) == 3"
RIGHT = "return one + other"


@dataclass(frozen=True)
class Project:
    """A git repository with a program, its tests, and patches beside it."""

    root: Path
    patches: Path

    def bug(self, wrong: str, *places: tuple[str, str], name: str = "bug") -> Bug:
        """The program with something else in the place of its one right line."""
        before, after = (text.splitlines(keepends=True) for text in (PROGRAM, PROGRAM.replace(RIGHT, wrong)))
        diff = "".join(unified_diff(before, after, "a/webhook/sums.py", "b/webhook/sums.py"))
        head = "".join(
            f"Looked for in: {where}\nInvariant: {what}\n" for where, what in places or [(TEST, INVARIANT)]
        )
        patch = self.patches / f"{name}.patch"
        patch.write_text(f"Broken: sums are wrong\n{head}\n{diff}")
        return Bug.read(patch)

    def ending(self, wrong: str, *places: tuple[str, str], seconds: float = 60) -> Ending:
        """How the one place ends on that program."""
        (finding,) = attempt(self.bug(wrong, *places), self.root, seconds).findings
        return finding.ending


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root, patches = tmp_path / "root", tmp_path / "patches"
    files = {
        "webhook/__init__.py": "",
        "webhook/sums.py": PROGRAM,
        "tests/test_sums.py": SUITE,
        "tests/simulation.py": SIMULATION,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    patches.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    return Project(root, patches)


def test_a_bug_is_caught_where_the_test_fails_on_the_invariant_that_is_named(project: Project) -> None:
    assert project.ending("return 2") is Ending.CAUGHT


def test_a_bug_that_breaks_nothing_survives(project: Project) -> None:
    assert project.ending("return other + one") is Ending.SURVIVED


@pytest.mark.parametrize(
    "wrong",
    [
        "return 7",  # fails on the assertion before the one that is named
        "raise AssertionError('assert add(1, 2) == 3')",
        "return one / 0",
        "return one +",
    ],
)
def test_a_failure_on_something_else_does_not_count(project: Project, wrong: str) -> None:
    assert project.ending(wrong) is Ending.FAILED_OTHERWISE


def test_a_failure_at_import_does_not_count(project: Project) -> None:
    assert project.ending("return 2\nraise ImportError") is Ending.FAILED_OTHERWISE


def test_an_error_in_a_fixture_does_not_count_though_another_test_names_the_invariant(project: Project) -> None:
    wrong = "return 2 if (one, other) != (1, 2) else missing"
    assert project.ending("return 2", ("tests/test_sums.py", INVARIANT)) is Ending.CAUGHT
    assert project.ending(wrong, ("tests/test_sums.py", INVARIANT)) is Ending.FAILED_OTHERWISE


def test_a_test_that_is_not_there_does_not_count(project: Project) -> None:
    assert project.ending("return 2", (f"{TEST}_of_old", INVARIANT)) is Ending.FAILED_OTHERWISE


def test_a_hang_does_not_count(project: Project) -> None:
    assert project.ending("import time; time.sleep(600)", seconds=3) is Ending.HUNG


@pytest.mark.parametrize(
    ("wrong", "ending"),
    [
        ("return 2", Ending.CAUGHT),
        ("return other + one", Ending.SURVIVED),
        ("return 0", Ending.FAILED_OTHERWISE),  # it says, too, that the simulation itself broke
        ("return nothing", Ending.FAILED_OTHERWISE),
    ],
)
def test_the_simulation_names_invariants_too(project: Project, wrong: str, ending: Ending) -> None:
    assert project.ending(wrong, ("tests.simulation --seeds 3", "sums_are_right")) is ending


def test_every_place_has_to_notice(project: Project) -> None:
    bug = project.bug("return 2", (TEST, INVARIANT), (f"{TEST}_of_old", INVARIANT))
    trial = attempt(bug, project.root)
    assert [finding.ending for finding in trial.findings] == [Ending.CAUGHT, Ending.FAILED_OTHERWISE]
    assert not trial.caught


def test_a_patch_that_no_longer_applies_is_named_with_what_to_do(project: Project) -> None:
    bug = project.bug("return 2")
    (project.root / "webhook/sums.py").write_text(PROGRAM.replace(RIGHT, "return sum([one, other])"))
    with copied(project.root) as tree, pytest.raises(BugError, match="by hand") as refused:
        apply(bug, tree)
    assert str(bug.patch) in str(refused.value)
    assert "webhook/sums.py" in str(refused.value)


def test_a_patch_without_a_whole_head_is_named(project: Project) -> None:
    (project.patches / "bare.patch").write_text("Broken: something\nLooked for in: tests\n\n--- a\n+++ b\n")
    with pytest.raises(BugError, match=r"bare.patch.*Invariant"):
        Bug.read(project.patches / "bare.patch")


def test_the_copy_is_the_working_tree_and_imports_itself(project: Project) -> None:
    (project.root / "webhook/sums.py").write_text("changed, and not committed")
    (project.root / "untracked").touch()
    with copied(project.root) as tree:
        assert (tree / "webhook/sums.py").read_text() == "changed, and not committed"
        assert not (tree / "untracked").exists()
    assert not tree.exists()


def test_a_copy_from_which_another_program_would_be_imported_is_refused(project: Project) -> None:
    (project.root / "webhook/__init__.py").unlink()
    (project.root / "webhook/sums.py").unlink()  # the installed program is found instead
    with pytest.raises(BugError, match="nothing is tried"), copied(project.root):
        pass


def test_a_suite_that_fails_without_a_bug_proves_nothing(project: Project) -> None:
    bug = project.bug("return 2")
    check_without_bugs([bug], project.root)
    (project.root / "webhook/sums.py").write_text(PROGRAM.replace(RIGHT, "return 2"))
    with pytest.raises(BugError, match="without a bug"):
        check_without_bugs([bug], project.root)


def test_the_command_prints_a_table_and_fails_if_a_bug_survived(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.bug("return 2", name="wrong")
    project.bug("return other + one", name="harmless")
    assert main(["wrong"], project.patches, project.root) == 0
    assert f"| wrong | {TEST} | `{INVARIANT}` |" in capsys.readouterr().out
    assert main([], project.patches, project.root) == 1
    printed = capsys.readouterr()
    assert "| harmless | no test |" in printed.out
    assert "1 of 2 deliberate bugs caught" in printed.out
    assert f"harmless: survived: `{INVARIANT}` in {TEST}" in printed.err
    assert main(["no-such-patch"], project.patches, project.root) == 1
    assert "there are harmless, wrong" in capsys.readouterr().err
