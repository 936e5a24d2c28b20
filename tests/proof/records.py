"""What tests measured, one JSON line each, in a file that an environment variable names."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

FILE_VARIABLE = "MXP_PROOF_RECORDS"

Figure = str | int | float


class Record(Protocol):
    """The `record` fixture: `record("what is claimed", pods_with_identity=200)`.

    A key's underscores become spaces, and units belong into it: `took_s=3.2`. Call it last, once everything has
    been asserted; the cases of one test use the same claim and the same keys, and become one table.
    """

    def __call__(self, claim: str, /, **measured: Figure) -> None:
        """Keep what was measured for a claim, while `make proof` runs; else do nothing."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One call of `record`; `test` is pytest's id of the test."""

    test: str
    claim: str
    measured: dict[str, Figure]

    def keep(self) -> None:
        """Append it to the file, if there is one."""
        if path := os.environ.get(FILE_VARIABLE):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(self)) + "\n")


def read(path: Path) -> list[Measurement]:
    """Return what was kept in a file, oldest first."""
    return [Measurement(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
