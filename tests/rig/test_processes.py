import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rig import leftovers
from rig.ports import free_port
from rig.processes import ProcessFailedError, Workspace
from rig.serving import accepts, serve, wait_until_ready
from rig.waiting import NotInTimeError, eventually
from tests.rig.owners import Owner, guardian_of, nothing_is_left_of

ROOT = Path(__file__).parents[2]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
# A parent that starts a child in a session of its own: neither knows the other's process group.
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("started", flush=True)
time.sleep(600)
"""
FAMILY = [sys.executable, "-c", PARENT]
OPENING = f"""
from rig.processes import Workspace
with Workspace() as workspace:
    workspace.spawn("family", {FAMILY!r})
    workspace.spawn("sleeper", {SLEEPER!r})
"""
LISTENER = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


def test_a_closed_workspace_leaves_no_process_and_no_file() -> None:
    with Workspace() as workspace:
        workspace.spawn("family", FAMILY)
        eventually(lambda: len(leftovers.marked(workspace.path)) == 2, "the child is started")

    assert nothing_is_left_of(workspace.path)


def test_an_error_in_the_block_leaves_nothing_either() -> None:
    workspace = Workspace()
    workspace.spawn("sleeper", SLEEPER)

    with pytest.raises(ZeroDivisionError), workspace:
        raise ZeroDivisionError

    assert nothing_is_left_of(workspace.path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_owner_that_is_killed_leaves_nothing(number: signal.Signals) -> None:
    Owner(OPENING).end(number)


def test_what_an_owner_and_its_guardian_leave_is_removed_by_the_next_workspace() -> None:
    owner = Owner(OPENING)
    guardian = guardian_of(owner.folder)
    assert guardian
    guardian.kill()
    owner.process.kill()
    owner.process.communicate()
    assert owner.folder.exists()
    assert leftovers.marked(owner.folder)

    with Workspace():
        assert nothing_is_left_of(owner.folder)


def test_a_living_owner_is_left_alone() -> None:
    with Workspace() as first, Workspace():
        assert first.path.exists()
        assert first.spawn("sleeper", SLEEPER).running
        assert first.path not in list(leftovers.dead_folders())


def test_a_process_that_ends_too_soon_is_named_and_its_last_words_are_shown() -> None:
    with Workspace() as workspace:
        process = workspace.spawn("short", [sys.executable, "-c", "raise SystemExit('no such flag')"])

        with pytest.raises(ProcessFailedError, match=r"(?s)short ended with exit code 1.*no such flag"):
            wait_until_ready(process, lambda: False)


def test_a_process_that_is_not_ready_in_time_is_named() -> None:
    with Workspace() as workspace:
        process = workspace.spawn("slow", SLEEPER)

        with pytest.raises(ProcessFailedError, match=r"slow was not ready within 0\.1 s"):
            wait_until_ready(process, lambda: False, timeout=0.1)


def test_a_stopped_process_starts_again_with_the_same_log() -> None:
    with Workspace() as workspace:
        process = workspace.spawn("family", FAMILY)
        eventually(lambda: process.log_tail().count("started") == 1, "its first start")

        process.stop()
        assert not process.running
        process.start()

        eventually(lambda: process.log_tail().count("started") == 2, "its second start")


def test_a_program_whose_port_was_taken_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Workspace() as workspace:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("rig.serving.free_port", lambda: next(ports))

        process, port = serve(
            workspace,
            "listener",
            lambda port: [sys.executable, "-c", LISTENER, str(port)],
            lambda port: port != taken.getsockname()[1] and accepts(port),
        )

        assert process.running
        assert accepts(port)
        assert workspace.processes == [process]


def test_waiting_says_what_did_not_happen() -> None:
    with pytest.raises(NotInTimeError, match=r"the sun rises: did not happen within 0\.05 s"):
        eventually(lambda: None, "the sun rises", timeout=0.05)


def test_a_folder_that_is_just_being_made_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    (tmp_path / f"{leftovers.PREFIX}new").mkdir()

    assert not list(leftovers.dead_folders(tmp_path))


FAILING = """
import pytest
from rig.processes import Workspace
from rig.waiting import eventually

@pytest.fixture
def speaker():
    with Workspace() as workspace:
        yield workspace.spawn("speaker", ["echo", "why it went wrong"])

def test_that_fails(speaker):
    eventually(speaker.log_tail, "it spoke")
    assert False
"""


def test_a_failed_test_shows_what_its_processes_said(tmp_path: Path) -> None:
    test = tmp_path / "test_failing.py"
    test.write_text(FAILING)
    arguments = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert "log of speaker" in ran.stdout
    assert "why it went wrong" in ran.stdout
