"""What was proved, with which code and when: docs/evidence/proof.json, from which proof.md is written."""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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
        self._proofs = _parse(file.read_text(encoding="utf-8")) if file.exists() else {}

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
        proof = Proof(test, self._code, datetime.now(UTC).date().isoformat(), measured)
        self._edit(lambda proofs: {**proofs, test: proof})

    def failed(self, test: str) -> None:
        """What it proved before does not hold any more."""
        self._edit(lambda proofs: {other: proof for other, proof in proofs.items() if other != test})

    def forget_all_but(self, tests: Collection[str]) -> None:
        """Tests that are gone prove nothing."""
        self._edit(lambda proofs: {test: proof for test, proof in proofs.items() if test in tests})

    def _edit(self, change: Callable[[dict[str, Proof]], dict[str, Proof]]) -> None:
        """Change what the file has at this moment: another run may prove another part at the same time."""
        with self._file.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            self._proofs = change(_parse(file.read()))
            file.truncate(0)
            file.write(json.dumps([asdict(proof) for proof in self.proofs], indent=1) + "\n")


def _parse(text: str) -> dict[str, Proof]:
    return {entry["test"]: Proof(**entry) for entry in json.loads(text or "[]")}


def digest_of_code() -> str:
    """A name for exactly this code: program, chart, rig, tests and what they are built from; no pages."""
    digest = hashlib.sha256()
    for top in (ROOT / name for name in CODE):
        for file in sorted([top] if top.is_file() else top.rglob("*")):
            if file.is_file() and _LEFT_OUT.isdisjoint(file.parts) and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]
