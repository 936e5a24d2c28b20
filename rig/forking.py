"""Python programs that start in a moment: forked from a process that has imported their modules already.

A replica of the program takes a second of CPU to import what it needs, and a command half of that. Tests start
hundreds. Apart from the imports a forked program is what `python -m` makes of it: a process and a session of its
own, with its own arguments, environment, folder and output. Where the start itself is the claim, or memory is
measured, nothing is forked.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

SESSION_PAUSE_S = 0.001
PR_SET_PDEATHSIG = 1  # prctl(2)

_context = multiprocessing.get_context("forkserver")
_packages: list[str] = []


def preload(packages: Sequence[str], modules: Sequence[str]) -> None:
    """Have `python -m` of modules in `packages` forked from a process with `modules` imported.

    That process is started with the first program, once, and ends with this one.
    """
    _packages[:] = packages
    _context.set_forkserver_preload([*modules, __name__, "rig.frozen"])


def is_forked(argv: Sequence[str]) -> bool:
    """Whether this command line runs a module of a preloaded package in this Python."""
    return argv[:2] == [sys.executable, "-m"] and argv[2].partition(".")[0] in _packages


class Forked:
    """What `subprocess.Popen` is, as far as `Process` needs it: a program in a session of its own.

    Output and errors are appended to files. It ends when the process that it is forked from does.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path, errors: Path
    ) -> None:
        for file in (output, errors):
            file.touch()
        what = (argv[2:], dict(environment), str(folder), str(output), str(errors))
        self._process = _context.Process(target=_become, args=what, daemon=True)
        self._process.start()
        self.args = [*argv]
        self.pid = self._process.pid or 0
        with suppress(ProcessLookupError):  # it has ended already
            while self.returncode is None and os.getsid(self.pid) != self.pid:
                time.sleep(SESSION_PAUSE_S)

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code


def _become(argv: Sequence[str], environment: Mapping[str, str], folder: str, output: str, errors: str) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(folder)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, output, os.O_WRONLY | os.O_APPEND),
        (2, errors, os.O_WRONLY | os.O_APPEND),
    ):
        os.dup2(os.open(path, flags), number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # one of them would keep alive the process that it is forked from
    sys.stdin = os.fdopen(0)
    faulthandler.enable(2)  # a crash says where it was
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [*argv]
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
