"""Trying a bug: the part of the suite that ought to notice runs on a copy of the program that has it.

Noticed is a bug only where the invariant that it breaks is named. A failure at import or at collection, an error
in a fixture, an exception of the program, a hang: these would come of any slip of the pen, and do not count.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.mutants.bugs import BugError
from tests.mutants.trees import apply, copied, environment_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.mutants.bugs import Bug, Place

PATIENCE = 90.0
"""Seconds after which a place hangs; each takes a few."""

_TESTS_FAILED = 1  # pytest's exit code; others are for errors at collection and of usage
_NO_INVARIANTS = frozenset({"the_simulation_runs", "no_unexpected_error"})
_REPORT = "mutant-report.xml"
_SHOWN_LINES = 12


class Ending(StrEnum):
    """How a place ended on the broken program."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    FAILED_OTHERWISE = "failed, but not on the invariant"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one place said of a bug; `output` is the end of what it printed."""

    place: Place
    ending: Ending
    output: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one bug."""

    bug: Bug
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether every place named its invariant."""
        return all(finding.ending is Ending.CAUGHT for finding in self.findings)

    @property
    def caught_by(self) -> str:
        """The places, for a person."""
        return "; ".join(finding.place.where for finding in self.findings)

    @property
    def invariants(self) -> str:
        """The invariants that were named, for a person."""
        return "; ".join(f"`{finding.place.invariant}`" for finding in self.findings)

    @property
    def complaint(self) -> str:
        """Where it was not caught, and what was seen there instead; empty where it was caught."""
        return "\n".join(
            f"{self.bug.name}: {finding.ending}: `{place.invariant}` in {place.where}\n{finding.output}"
            for finding in self.findings
            for place in [finding.place]
            if finding.ending is not Ending.CAUGHT
        )


def attempt(bug: Bug, root: Path, seconds: float = PATIENCE) -> Trial:
    """Try one bug on a copy of `root`, `seconds` for each place at most. Raises BugError."""
    began = time.monotonic()
    with copied(root) as tree:
        apply(bug, tree)
        findings = tuple(_look(place, tree, seconds) for place in bug.places)
    return Trial(bug, findings, time.monotonic() - began)


def check_without_bugs(bugs: Sequence[Bug], root: Path, seconds: float = PATIENCE) -> None:
    """See that every place passes on a copy without a bug. Raises BugError."""
    places = {place.where: place for bug in bugs for place in bug.places}.values()
    tests = [place.where for place in places if not place.is_simulation]
    commands = [_simulation(place.where) for place in places if place.is_simulation]
    with copied(root) as tree:
        for command in [*commands, *([_pytest(tests)] if tests else [])]:
            code, output = _run(command, tree, seconds)
            if code != 0:
                raise BugError(
                    f"without a bug the suite fails too, mend that first: {shlex.join(command)}\n{output}"
                )


def _look(place: Place, tree: Path, seconds: float) -> Finding:
    if place.is_simulation:
        code, output = _run(_simulation(place.where), tree, seconds)
        named = _named_by_simulation(output)
    else:
        code, output = _run(_pytest([place.where]), tree, seconds)
        named = _named_by_pytest(tree / _REPORT) if code == _TESTS_FAILED else set()
    return Finding(place, _ending(code, named, place.invariant), "\n".join(output.splitlines()[-_SHOWN_LINES:]))


def _ending(code: int | None, named: set[str], invariant: str) -> Ending:
    if code is None:
        return Ending.HUNG
    if code == 0:
        return Ending.SURVIVED
    return Ending.CAUGHT if invariant in named else Ending.FAILED_OTHERWISE


def _named_by_simulation(output: str) -> set[str]:
    named = set(re.findall(r"^broken by \d+ seeds: (\w+)$", output, re.MULTILINE))
    return set() if named & _NO_INVARIANTS else named


def _named_by_pytest(report: Path) -> set[str]:
    """The assertions on which tests failed, as the source has them; none where anything else went wrong."""
    results = ET.parse(report)
    if next(results.iter("error"), None) is not None:
        return set()
    failures = [failure for failure in results.iter("failure") if _is_assertion(failure.get("message", ""))]
    return {_failing_line(failure.text or "") for failure in failures}


def _is_assertion(message: str) -> bool:
    return message.startswith(("AssertionError", "assert "))


def _failing_line(traceback: str) -> str:
    """The last line that pytest marks: the innermost frame's, which is where the assertion is."""
    marked = [line for line in traceback.splitlines() if line.startswith(">")]
    return marked[-1].removeprefix(">").strip() if marked else ""


def _simulation(where: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(where)]


def _pytest(tests: Sequence[str]) -> list[str]:
    options = ["-q", "--no-header", "-p", "no:cacheprovider", f"--junit-xml={_REPORT}"]
    return [sys.executable, "-m", "pytest", *options, *tests]


def _run(command: list[str], tree: Path, seconds: float) -> tuple[int | None, str]:
    """The exit code, or None where it did not end in time, and what was printed."""
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment_of(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]
        return process.returncode, output
