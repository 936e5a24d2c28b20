"""What has been proved, with which code and when: docs/proof.json, from which docs/proof.md is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.proof.records import Figure, Measurement

ROOT = Path(__file__).parents[2]
CODE = ("Dockerfile", "bench", "certs", "charts", "pyproject.toml", "requirements", "rig", "tests", "webhook")
_LEFT_OUT = frozenset({"__pycache__", ".cache"})


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that passed: `code` is the digest of the code that it passed with, `on` the day (UTC)."""

    test: str
    code: str
    on: str
    measured: list[tuple[str, dict[str, Figure]]] = field(default_factory=list)
    """Claims, each with its figures; none where the test recorded nothing."""


class Ledger:
    """The newest proof of each test, kept in a file after each, so that a run that is stopped loses nothing."""

    def __init__(self, file: Path, code: str) -> None:
        self._file = file
        self._code = code
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        self._proofs = {entry["test"]: Proof(**entry) for entry in found}

    @property
    def proofs(self) -> list[Proof]:
        """All that is proved, with whatever code."""
        return [self._proofs[test] for test in sorted(self._proofs)]

    @property
    def proved_now(self) -> set[str]:
        """The tests that passed with the code as it is."""
        return {proof.test for proof in self._proofs.values() if proof.code == self._code}

    def passed(self, test: str, measurements: Collection[Measurement]) -> None:
        """A test has passed, and measured this."""
        measured = [(each.claim, each.measured) for each in measurements]
        self._proofs[test] = Proof(test, self._code, datetime.now(UTC).date().isoformat(), measured)
        self._keep()

    def failed(self, test: str) -> None:
        """What it proved before does not hold any more."""
        if self._proofs.pop(test, None):
            self._keep()

    def forget_all_but(self, tests: Collection[str]) -> None:
        """Tests that are gone prove nothing."""
        self._proofs = {test: proof for test, proof in self._proofs.items() if test in tests}
        self._keep()

    def _keep(self) -> None:
        text = json.dumps([asdict(proof) for proof in self.proofs], indent=1)
        self._file.write_text(text + "\n", encoding="utf-8")


def digest_of_code() -> str:
    """A name for exactly this code: program, chart, rig, tests and what they are built from; no pages."""
    digest = hashlib.sha256()
    for top in (ROOT / name for name in CODE):
        for file in sorted([top] if top.is_file() else top.rglob("*")):
            if file.is_file() and _LEFT_OUT.isdisjoint(file.parts) and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]
