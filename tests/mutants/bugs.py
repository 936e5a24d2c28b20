"""Deliberate bugs: patch files against the program, whose heads say what is broken and what has to notice.

A head is lines of `key: value` up to the first empty line, which `git apply` passes over:

    Broken: what the program does wrong with this patch, in a sentence
    Looked for in: tests/engine/test_pools.py::test_a_subject_stays_where_it_is_trusted_already[2]
    Invariant: assert _roles_of(here, NEWCOMER) == [home]

The last two may come more than once; then every one of those places has to notice. A place is pytest's id of a
test, whose invariant is the assertion that fails, as the source has it; or `tests.simulation` with its options,
whose invariant is one of the names under which it complains.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATCHES = Path(__file__).parent / "patches"

_WHERE, _INVARIANT = "Looked for in", "Invariant"


class BugError(Exception):
    """A deliberate bug cannot be tried; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the suite, and the invariant that it has to name as broken."""

    where: str
    invariant: str

    @property
    def is_simulation(self) -> bool:
        """Whether it is a run of the simulation, and not a test."""
        return self.where.startswith("tests.simulation")


@dataclass(frozen=True, slots=True)
class Bug:
    """One patch file."""

    patch: Path
    broken: str
    places: tuple[Place, ...]

    @property
    def name(self) -> str:
        """What it is called: the name of its file."""
        return self.patch.stem

    @classmethod
    def read(cls, patch: Path) -> Self:
        """The bug in a file. Raises BugError where its head lacks something."""
        head = [line.partition(": ") for line in patch.read_text().partition("\n\n")[0].splitlines()]

        def values(key: str) -> list[str]:
            return [value for found, _, value in head if found == key]

        wheres, invariants, broken = values(_WHERE), values(_INVARIANT), values("Broken")
        if len(broken) != 1 or not wheres or len(wheres) != len(invariants):
            raise BugError(
                f"{patch}: its head needs `Broken: ...` once, and `{_WHERE}: ...` and `{_INVARIANT}: ...` in pairs"
            )
        return cls(patch, broken[0], tuple(map(Place, wheres, invariants)))


def all_bugs(folder: Path = PATCHES) -> list[Bug]:
    """Every bug of a folder, by name. Raises BugError."""
    return [Bug.read(patch) for patch in sorted(folder.glob("*.patch"))]
