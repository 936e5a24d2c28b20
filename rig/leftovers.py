"""Finding and removing what a dead owner left: its processes and its folder.

Every process of a workspace carries the workspace's folder in its environment, and so do its children. The
folder holds a file that the owner keeps locked. An unlocked file means that the owner is gone, however it
ended, and that everything that carries the folder's name may go.

This file is also the guardian: `python leftovers.py FOLDER` waits until its standard input closes, which
happens when the owner closes the workspace or dies, and removes what is left.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PREFIX = "mxp-rig-"
MARK = "MXP_RIG_FOLDER"
LOCK = ".owner"
KILL_TIMEOUT_S = 10.0
KILL_PAUSE_S = 0.01
UNLOCKED_GRACE_S = 600.0  # a folder without a lock file may be one that is just being made


def marked(folder: Path) -> list[psutil.Process]:
    """Return the processes that belong to the workspace in `folder`, zombies and the caller left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def kill_marked(folder: Path) -> None:
    """Kill the processes of the workspace in `folder`, again until none is left; gives up after 10 s."""
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (processes := marked(folder)) and time.monotonic() < deadline:
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(KILL_PAUSE_S)


def remove(folder: Path) -> None:
    """Kill what belongs to `folder` and delete it; nothing happens if it is gone already."""
    with contextlib.suppress(psutil.Error):
        kill_marked(folder)
    shutil.rmtree(folder, ignore_errors=True)


def dead_folders(parent: Path | None = None) -> Iterator[Path]:
    """Yield the workspace folders of this user whose owner is gone."""
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and _is_dead(folder):
                yield folder


def _is_dead(folder: Path) -> bool:
    try:
        lock = (folder / LOCK).open()
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > UNLOCKED_GRACE_S
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def main() -> None:
    """Be the guardian of the folder named on the command line."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    if folder.exists():
        remove(folder)


if __name__ == "__main__":
    main()
