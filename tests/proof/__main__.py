"""`make proof`: runs the tests marked `proof`, and writes docs/proof.md from what they recorded if all passed.

What passed with this code in a run that was stopped is not run again. `python -m tests.proof FILE...` proves a
part, which the next `make proof` need not run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.proof.page import page, sentence
from tests.proof.progress import Progress, progress_of_this_code
from tests.proof.records import FILE_VARIABLE

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"


class Outcomes:
    """A pytest plugin that leaves out who passed before, and remembers who fails and is skipped, by their ids."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._called: set[str] = set()
        self.failed: dict[str, None] = {}
        self.skipped: list[str] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out who passed before."""
        passed = set(self._progress.passed)
        before = [item for item in items if item.nodeid in passed]
        items[:] = [item for item in items if item.nodeid not in passed]
        if before:
            sys.stdout.write(f"{len(before)} passed before, with this code\n")
            config.hook.pytest_deselected(items=before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of one phase of a test."""
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self._called.add(report.nodeid)
        elif report.when == "teardown" and report.nodeid in self._called - self.failed.keys():
            self._progress.note(report.nodeid)


def prove(tests: list[str], target: Path | None, progress: Progress) -> int:
    """Run those of `tests` that are marked `proof`; answers the exit code.

    If all passed, `target` is written; without one, `progress` keeps them for the run that writes it.
    """
    outcomes = Outcomes(progress)
    os.environ[FILE_VARIABLE] = str(progress.records)
    code = pytest.main(["-m", "proof", "-v", "--no-header", *tests], plugins=[outcomes])
    if code is pytest.ExitCode.NO_TESTS_COLLECTED and progress.passed:
        code = pytest.ExitCode.OK
    for test in outcomes.failed:
        sys.stderr.write(f"not proved: {sentence(test)}\n  {test}\n")
    for test in outcomes.skipped:
        sys.stderr.write(f"not tried here: {sentence(test)}\n  {test}\n")
    if code or not progress.passed:
        sys.stderr.write("the page is left as it was\n")
        return int(code) or 1
    if target is None:
        sys.stdout.write(f"{len(progress.passed)} tests have passed with this code; `make proof` goes on\n")
        return 0
    measurements, passed = progress.measurements, progress.passed
    recorded = {each.test for each in measurements}
    target.write_text(page(measurements, [test for test in passed if test not in recorded]))
    progress.end()
    sys.stdout.write(f"{len(passed)} tests passed; see {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(prove(sys.argv[1:], None if sys.argv[1:] else PAGE, progress_of_this_code()))
