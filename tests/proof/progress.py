"""How far `make proof` has come with the code as it is: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from tests.proof.records import Measurement, read

ROOT = Path(__file__).parents[2]
CODE = ("Dockerfile", "bench", "certs", "charts", "pyproject.toml", "requirements", "rig", "tests", "webhook")
_LEFT_OUT = frozenset({"__pycache__", ".cache"})


class Progress:
    """What passed and what was measured, in a folder that is gone once the page is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passed = folder / "passed"
        self.records = folder / "records.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._passed.touch()
        self.records.touch()
        self._forget_what_did_not_pass()

    @property
    def passed(self) -> list[str]:
        """The ids of the tests that passed, in this run or in those before."""
        return self._passed.read_text(encoding="utf-8").splitlines()

    @property
    def measurements(self) -> list[Measurement]:
        """What they recorded."""
        return read(self.records)

    def note(self, test: str) -> None:
        """A test has passed."""
        with self._passed.open("a", encoding="utf-8") as file:
            file.write(f"{test}\n")

    def end(self) -> None:
        """All is proved: the next run begins anew."""
        shutil.rmtree(self._folder)

    def _forget_what_did_not_pass(self) -> None:
        """A test can have recorded something and been stopped before its end."""
        passed = set(self.passed)
        kept = [json.dumps(asdict(each)) + "\n" for each in self.measurements if each.test in passed]
        self.records.write_text("".join(kept), encoding="utf-8")


def progress_of_this_code() -> Progress:
    """The progress of exactly this code: any change to it begins anew."""
    return Progress(ROOT / ".rig" / "proof" / _digest())


def _digest() -> str:
    digest = hashlib.sha256()
    for top in (ROOT / name for name in CODE):
        for file in sorted([top] if top.is_file() else top.rglob("*")):
            if file.is_file() and _LEFT_OUT.isdisjoint(file.parts) and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
