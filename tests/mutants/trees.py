"""Copies of the working tree, in which the program may be broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.bugs import BugError
from tests.proof.records import FILE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutants.bugs import Bug

ROOT = Path(__file__).parents[2]


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """A temporary folder with every file that git tracks in `root`, as it is there now.

    Raises BugError where Python, started there, would import another copy of the program.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder).resolve()
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        for name in listed.stdout.split("\0"):
            if name and (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name, tree / name)
        _check_imports(tree)
        yield tree


def apply(bug: Bug, tree: Path) -> None:
    """Put a bug into a copy. Raises BugError where the program has changed so much that the patch does not fit."""
    _git_apply(bug, tree)


def check_applies(bug: Bug, tree: Path) -> None:
    """See that a bug could be put into a copy, and leave it as it is. Raises BugError where it could not."""
    _git_apply(bug, tree, "--check")


def _git_apply(bug: Bug, tree: Path, *options: str) -> None:
    # A repository around the temporary folder would make git take the paths for its own, and skip them all.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "apply", *options, str(bug.patch)]
    result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BugError(
            f"{bug.patch} no longer applies to the program ({result.stderr.strip()}): make the same bug in "
            "webhook/ by hand, put what `git diff webhook` prints beneath the head of that file, and take it back"
        )


def environment_of(tree: Path) -> dict[str, str]:
    """The environment in which Python imports the copy, and in which nothing is recorded as proved."""
    ours = {
        key: value
        for key, value in os.environ.items()
        if key != FILE_VARIABLE and not key.startswith(("PYTEST_", "COV_"))
    }
    return {**ours, "PYTHONPATH": str(tree)}


def _check_imports(tree: Path) -> None:
    command = [sys.executable, "-c", "import webhook; print(webhook.__file__)"]
    result = subprocess.run(
        command, cwd=tree, env=environment_of(tree), capture_output=True, text=True, check=False
    )
    if not result.stdout.startswith(str(tree)):
        raise BugError(
            f"in the copy {tree} `webhook` is {result.stdout.strip() or result.stderr}: nothing is tried"
        )
