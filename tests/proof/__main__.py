"""`make proof`: runs the tests marked `proof`, and writes docs/proof.md from what they recorded if all passed."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.proof.page import page, sentence
from tests.proof.records import FILE_VARIABLE, read

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"


class Outcomes:
    """A pytest plugin that remembers which tests passed, failed and were skipped, by their ids."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: dict[str, None] = {}
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of one phase of a test."""
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self.passed.append(report.nodeid)


def prove(tests: list[str], target: Path) -> int:
    """Run those of `tests` that are marked `proof` and write `target` if all passed; answers the exit code."""
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records.jsonl"
        records.touch()
        os.environ[FILE_VARIABLE] = str(records)
        code = pytest.main(["-m", "proof", "-v", "--no-header", *tests], plugins=[outcomes])
        measurements = read(records)
    for test in outcomes.failed:
        sys.stderr.write(f"not proved: {sentence(test)}\n  {test}\n")
    for test in outcomes.skipped:
        sys.stderr.write(f"not tried here: {sentence(test)}\n  {test}\n")
    if code or not outcomes.passed:
        sys.stderr.write(f"{target.name} is left as it was\n")
        return int(code) or 1
    recorded = {each.test for each in measurements}
    target.write_text(page(measurements, [test for test in outcomes.passed if test not in recorded]))
    sys.stdout.write(f"{len(outcomes.passed)} tests passed; see {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(prove([], PAGE))
