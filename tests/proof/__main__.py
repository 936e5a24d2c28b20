"""`make proof`: runs what is marked `proof` and has not passed with this code, and writes docs/evidence/proof.md.

`python -m tests.proof FILE...` runs a part of them. docs/evidence/proof.json keeps what passed, after each test.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.proof.ledger import ROOT, Ledger, digest_of_code
from tests.proof.page import page, sentence
from tests.proof.records import FILE_VARIABLE, read

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = ROOT / "docs" / "evidence" / "proof.md"


class Bookkeeping:
    """A pytest plugin that leaves out what passed with this code, and enters what passes and what fails."""

    def __init__(self, ledger: Ledger, records: Path) -> None:
        self._ledger = ledger
        self._records = records
        self._called: set[str] = set()
        self.there: set[str] = set()
        self.failed: dict[str, None] = {}
        self.skipped: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out who has passed."""
        proved = self._ledger.proved_now
        self.there = {item.nodeid for item in items if item.get_closest_marker("proof")}
        before = [item for item in items if item.nodeid in proved]
        items[:] = [item for item in items if item.nodeid not in proved]
        if before:
            sys.stdout.write(f"{len(before)} passed before, with this code\n")
            config.hook.pytest_deselected(items=before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter the outcome of one phase of a test."""
        test = report.nodeid
        if report.failed:
            self.failed[test] = None
            self._ledger.failed(test)
        elif report.skipped:
            self.skipped.append(test)
        elif report.when == "call":
            self._called.add(test)
        elif report.when == "teardown" and test in self._called - self.failed.keys():
            self._ledger.passed(test, [each for each in read(self._records) if each.test == test])


def prove(tests: Sequence[str], target: Path, code: str, *, all_of_them: bool) -> int:
    """Run those of `tests` that are marked `proof`, and write `target`; answers the exit code.

    The ledger is the file of the same name that ends in .json; where `tests` are `all_of_them`, it forgets others.
    """
    ledger = Ledger(target.with_suffix(".json"), code)
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records.jsonl"
        records.touch()
        os.environ[FILE_VARIABLE] = str(records)
        books = Bookkeeping(ledger, records)
        ended = pytest.main(["-m", "proof", "-v", "--no-header", *tests], plugins=[books])
    for test in books.failed:
        sys.stderr.write(f"not proved: {sentence(test)}\n  {test}\n")
    for test in books.skipped:
        sys.stderr.write(f"not tried here: {sentence(test)}\n  {test}\n")
    nothing_new = ended is pytest.ExitCode.NO_TESTS_COLLECTED and bool(ledger.proved_now & books.there)
    complete = ended is pytest.ExitCode.OK or nothing_new
    if complete and all_of_them:
        ledger.forget_all_but(books.there)
    if ledger.proofs:
        target.write_text(page(ledger.proofs, code), encoding="utf-8")
    sys.stdout.write(f"{len(ledger.proved_now)} tests have passed with this code, {code}; see {target}\n")
    return 0 if complete else int(ended) or 1


if __name__ == "__main__":
    sys.exit(prove(sys.argv[1:], PAGE, digest_of_code(), all_of_them=not sys.argv[1:]))
