"""What a run of pytest showed, read from its JUnit file, and what that says of an area."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """One test: its id, and why it failed or was skipped; both empty where it passed."""

    test: str
    failed: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many tests of an area passed, and each one that did not, with the reason."""

    passed: int = 0
    failed: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether all of it ran and passed."""
        return self.passed > 0 and not self.failed and not self.not_run

    @property
    def shown(self) -> str:
        """The cell of a table."""
        if self.failed:
            return f"**{len(self.failed)} failed**, {self.passed} passed"
        if not self.passed:
            return "not run"
        return f"{self.passed} passed" + (f", {len(self.not_run)} not run" if self.not_run else "")


def read(file: Path) -> list[Case]:
    """Return the tests of a JUnit file that pytest wrote."""
    cases = []
    for case in ET.parse(file).iter("testcase"):
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        problems = [each for each in case if each.tag in {"failure", "error"}]
        skipped = case.find("skipped")
        cases.append(
            Case(
                test,
                failed=_line(problems[0]) if problems else "",
                skipped=_line(skipped) if skipped is not None else "",
            )
        )
    return cases


def judged(cases: Iterable[Case], tests: Sequence[str]) -> Outcome:
    """What these cases say of an area with these ids. An id that matches no case has failed."""
    mine = [case for case in cases if any(_is_of(case, test) for test in tests)]
    absent = [test for test in tests if not any(_is_of(case, test) for case in mine)]
    return Outcome(
        passed=sum(not case.failed and not case.skipped for case in mine),
        failed=(*(f"{case.test}: {case.failed}" for case in mine if case.failed), *map(_was_absent, absent)),
        not_run=tuple(f"{case.test}: {case.skipped}" for case in mine if case.skipped and not case.failed),
    )


def _is_of(case: Case, test: str) -> bool:
    return re.match(rf"{re.escape(test)}($|::|\[|/)", case.test) is not None


def _was_absent(test: str) -> str:
    return f"{test}: no such test ran"


def _line(problem: ET.Element) -> str:
    """The first line of why a test failed or was skipped."""
    lines = (problem.get("message") or problem.text or "no reason given").strip().splitlines()
    return lines[0][:200]
