"""A forked program is for its owner what a started one is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rig.forking import Forked
from rig.waiting import eventually
from tests.rig.owners import Owner

OPENING = """
from pathlib import Path
from rig.processes import Workspace
from tests.rig.test_forking import folder_with, forked
with Workspace() as workspace:
    workspace.spawn("marked", ["sleep", "600"])
    process = forked(folder_with(Path({folder!r}), "import time; time.sleep(600)"))
    Path({folder!r}, "pid").write_text(str(process.pid))
"""
PRINTING = """
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read()]))
print("an error", file=sys.stderr)
sys.exit(3)
"""


def folder_with(folder: Path, program: str) -> Path:
    """A folder with a module `program`."""
    (folder / "program.py").write_text(program)
    return folder


def forked(folder: Path, *arguments: str, **environment: str) -> Forked:
    """That module, with its own output."""
    argv = [sys.executable, "-m", "program", *arguments]
    sys.path.insert(0, str(folder))  # what a forked program imports comes from its owner's path
    try:
        return Forked(argv, environment, folder, folder / "out", folder / "err")
    finally:
        sys.path.remove(str(folder))


def test_it_has_its_own_arguments_environment_folder_session_and_output(tmp_path: Path) -> None:
    process = forked(folder_with(tmp_path, PRINTING), "one", "two", NAME="value")
    assert process.wait(timeout=30) == 3
    printed = json.loads((tmp_path / "out").read_text())
    assert printed == [["one", "two"], {"NAME": "value"}, str(tmp_path), True, ""]
    assert (tmp_path / "err").read_text() == "an error\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_ends_it_is_its_exit_code(tmp_path: Path, number: signal.Signals) -> None:
    process = forked(folder_with(tmp_path, "print('up', flush=True)\nimport time\ntime.sleep(600)"))
    eventually((tmp_path / "out").read_text, "it runs")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.01)
    os.killpg(process.pid, number)
    assert process.wait(timeout=30) == -number
    assert process.returncode == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_owner_that_is_killed_leaves_none(tmp_path: Path, number: signal.Signals) -> None:
    owner = Owner(OPENING.format(folder=str(tmp_path)))
    pid = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(pid)
    owner.end(number)
    eventually(lambda: not psutil.pid_exists(pid), "it has ended", timeout=10)
