"""What every test has: `record` for its figures, the rig's logs where it fails, and how long properties search.

And what every run has: programs that start in a moment, files in the order of their durations, and clusters that
are ended with it.
"""

import re
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from rig import forking
from rig.kubernetes import shared
from rig.processes import logs
from tests.proof.records import Figure, Measurement, Record
from tests.support import durations

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the machine that runs this is busy with other things, and one slow example is no finding.
settings.register_profile(
    "shared-machine", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared-machine")

_ROOT = Path(__file__).parents[1]
_LINES_OF_A_LOG = 40
_UNREAD_LOGS = frozenset({"etcd", "kwok"})


def pytest_configure(config: pytest.Config) -> None:
    """Have replicas and commands forked but where memory is measured: there are hundreds of them."""
    if config.option.markexpr != "proof":
        files = (path for folder in ("webhook", "certs") for path in (_ROOT / folder).rglob("[!_]*.py"))
        modules = [".".join(path.relative_to(_ROOT).with_suffix("").parts) for path in files]
        forking.preload(["webhook"], modules)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs said that a failed test had running: they and their logs are gone after it."""
    report = yield
    if call.when == "call" and report.failed:
        report.sections += [
            (f"log of {name}", text) for name, text in logs(_LINES_OF_A_LOG) if name not in _UNREAD_LOGS
        ]
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make durations` asks for."""
    parser.addoption("--write-durations", action="store_true", help=f"write {durations.FILE.name} anew")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which no test runs, by their marks: reading all takes a worker seconds."""
    words = re.findall(r"\w+", str(config.option.markexpr))
    if not words or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text()
    if words[0] == "not":
        marks = re.search(r"^pytestmark = .*", text, re.MULTILINE)
        is_left_out = marks is not None and any(f"mark.{word}" in marks[0] for word in words)
    else:
        wanted = [f"mark.{word}" for word in ("rig", "node") if word in words]
        is_left_out = bool(wanted) and not any(mark in text for mark in wanted)
    return is_left_out or None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> durations.ByFileAndNode | None:
    """Have one worker run all that share the node, beside the workers that run a file each."""
    return durations.ByFileAndNode(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers run them, the files that take longest come first: the end is even then."""
    if hasattr(config, "workerinput"):
        durations.sort(items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what a file takes."""
    durations.count(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the clusters that tests used one after another."""
    shared.close()
    if session.config.getoption("--write-durations") and not hasattr(session.config, "workerinput"):
        durations.write()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keeps a test's figures for docs/evidence/proof.md; see `Record`."""

    def keep(claim: str, /, **measured: Figure) -> None:
        Measurement(request.node.nodeid, claim, measured).keep()

    return keep
