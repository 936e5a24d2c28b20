"""`python -m tests.mutants [NAME ...]` breaks the program deliberately, and sees that the suite names what broke.

It prints a table of the bugs, and exits with 1 where one survived, or where a patch cannot be tried.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bench.figures import table
from tests.mutants.bugs import PATCHES, Bug, BugError, all_bugs
from tests.mutants.trees import ROOT
from tests.mutants.trials import Trial, attempt, check_without_bugs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main(arguments: Sequence[str], folder: Path = PATCHES, root: Path = ROOT) -> int:
    """What is typed. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="patches to try, without .patch (all)")
    names = parser.parse_args(arguments).names
    try:
        trials = _try(_chosen(all_bugs(folder), names), root)
    except BugError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    rows = [
        [trial.bug.name, trial.caught_by if trial.caught else "no test", trial.invariants, f"{trial.seconds:.1f}"]
        for trial in trials
    ]
    sys.stdout.write(table(["bug", "caught by", "invariant", "seconds"], rows) + "\n")
    missed = [trial for trial in trials if not trial.caught]
    for trial in missed:
        sys.stderr.write(f"\n{trial.complaint}\n")
    sys.stdout.write(f"{len(trials) - len(missed)} of {len(trials)} deliberate bugs caught\n")
    return 1 if missed else 0


def _chosen(bugs: list[Bug], names: Sequence[str]) -> list[Bug]:
    if unknown := set(names) - {bug.name for bug in bugs}:
        known = ", ".join(bug.name for bug in bugs)
        raise BugError(f"there is no patch {', '.join(sorted(unknown))}: there are {known}")
    return [bug for bug in bugs if not names or bug.name in names]


def _try(bugs: list[Bug], root: Path) -> list[Trial]:
    check_without_bugs(bugs, root)
    trials = []
    for bug in bugs:
        trials.append(attempt(bug, root))
        sys.stderr.write(f"{bug.name}: {'caught' if trials[-1].caught else 'NOT CAUGHT'}\n")
    return trials


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
