"""Running tests on a version: pytest in a process of its own, whose JUnit file says what passed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rig.tools.catalogue import KUBERNETES, KUBERNETES_VARIABLE, pinned_version
from tests.versions.areas import AREAS, UNIT_TESTS, Area
from tests.versions.outcomes import Outcome, judged, read
from tests.versions.pythons import ROOT, NotHadError, prepared, version_of
from tests.versions.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNIT = (
    *("-m", "not rig and not node and not proof", "--dist", "worksteal"),
    "--ignore=tests/versions/test_agreement.py",  # it judges what this run is about to write
)
OF_THE_RIG = ("--dist", "loadfile", "--no-loadscope-reorder")
TESTS_FAILED = 1
SOURCE = "Go modules"
UNIT_AREA = Area(UNIT_TESTS, "", ("tests",))


def on_kubernetes(version: str, jobs: int) -> Result:
    """Build that version where it is missing, and run all areas on it."""
    exact = pinned_version(KUBERNETES[version], "k8s.io/kubernetes").removeprefix("v")
    environment = {**os.environ, KUBERNETES_VARIABLE: version}
    environment.pop("KUBEBUILDER_ASSETS", None)  # its binaries would come before those of the version
    built = subprocess.run([sys.executable, "-m", "rig.tools"], env=environment, cwd=ROOT, check=False)
    if built.returncode:
        missing = Outcome(not_run=("its binaries could not be built",))
        return Result(exact, SOURCE, {area.name: missing for area in AREAS})
    options = [*OF_THE_RIG, *(test for area in AREAS for test in area.tests)]
    return Result(exact, SOURCE, _outcomes([sys.executable], options, environment, jobs, AREAS))


def on_python(minor: str, jobs: int) -> Result:
    """Run the unit tests on that Python, with the locked packages."""
    try:
        with prepared(minor) as python:
            command: list[str | Path] = [*python.inside, python.executable]
            outcomes = _outcomes(command, UNIT, python.environment, jobs, [UNIT_AREA])
            return Result(version_of(python), python.source, outcomes)
    except NotHadError as error:
        return Result(minor, "", {UNIT_TESTS: Outcome(not_run=(str(error),))})


def _outcomes(
    python: Sequence[str | Path],
    options: Sequence[str],
    environment: Mapping[str, str],
    jobs: int,
    areas: Sequence[Area],
) -> dict[str, Outcome]:
    """What a run of pytest shows of these areas; all have failed where it did not run to its end."""
    with TemporaryDirectory(prefix="mxp-versions-") as folder:
        file = Path(folder) / "junit.xml"
        command = [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--numprocesses={jobs}"]
        ended = subprocess.run(
            [*command, f"--junitxml={file}", *options], env=dict(environment), cwd=ROOT, check=False
        )
        cases = read(file) if file.exists() else []
    if ended.returncode not in {0, TESTS_FAILED} or bool(ended.returncode) != any(case.failed for case in cases):
        return {area.name: Outcome(failed=(f"pytest ended with {ended.returncode}",)) for area in areas}
    return {area.name: judged(cases, area.tests) for area in areas}
