"""Programs that own a part of the rig and are ended from outside, and what they leave."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from rig import leftovers
from rig.waiting import eventually


def guardian_of(folder: Path) -> psutil.Process | None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-1:] == [str(folder)]:
                return process
    return None


def nothing_is_left_of(folder: Path) -> bool:
    return not folder.exists() and not leftovers.marked(folder) and guardian_of(folder) is None


class Owner:
    """A Python program that opens something in the rig, prints its workspace's folder, and waits."""

    def __init__(self, opening: str) -> None:
        code = f"{opening}\n    print(workspace.path, flush=True)\n    import time; time.sleep(600)"
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.folder = Path(self.process.stdout.readline().strip())
        assert self.folder.is_dir()
        assert leftovers.marked(self.folder)
        assert guardian_of(self.folder)

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.communicate(timeout=20)
        eventually(lambda: nothing_is_left_of(self.folder), "its processes and folder are gone", timeout=5)
