"""How long each file of the rig's tests takes, by `make durations`: so workers end at about the same time."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "tests" / "durations.json"

NODE = "tests/node/"
"""Where tests share one real node."""

_seconds: dict[str, float] = defaultdict(float)


def sort(items: list[pytest.Item]) -> None:
    """Put the node's tests first, then the files that take longest; a file's tests stay together and in order."""
    known: dict[str, float] = json.loads(FILE.read_text())
    items.sort(key=lambda item: (not item.nodeid.startswith(NODE), -known.get(_file(item.nodeid), 0.0)))


def count(report: pytest.TestReport) -> None:
    """Add what one phase of a test took."""
    _seconds[_file(report.nodeid)] += report.duration


def write() -> None:
    """Write what was counted: seconds by file, longest first; a file of less than a second is left out."""
    longest = sorted(_seconds.items(), key=lambda item: -item[1])
    found = {file: round(seconds) for file, seconds in longest if seconds >= 1}
    FILE.write_text(json.dumps(found, indent=1) + "\n")


class ByFileAndNode(LoadFileScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped
    """Each file in one worker, and all files of the node's tests in the same."""

    def _split_scope(self, nodeid: str) -> str:
        return NODE if nodeid.startswith(NODE) else _file(nodeid)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
