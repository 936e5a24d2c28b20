"""Processes that the rig starts, each with its log, and the workspace that takes them all down again."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rig import forking, leftovers
from rig.forking import Forked

LOG_TAIL_LINES = 25


class ProcessFailedError(RuntimeError):
    """A process ended, or was not ready in time; the message names it and ends with its log's last lines."""


class Process:
    """One program with its own session and log file; made by `Workspace.spawn`.

    A restart appends to the same log. `argv` may be changed before it, to start with other arguments.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._env = dict(env)
        self._cwd = cwd
        self._popen = self._start()

    def _start(self) -> subprocess.Popen[bytes] | Forked:
        if forking.is_forked(self.argv):
            return Forked(self.argv, self._env, self._cwd, self.log, self.log)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # Ctrl-C reaches the owner alone, which then stops things in order
            )

    @property
    def pid(self) -> int:
        """The id of the process, or of the last one if it has ended."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, timeout: float) -> int:
        """Wait `timeout` seconds for the end and return the exit code, else raise `TimeoutExpired`."""
        return self._popen.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the process and to whatever it started; nothing happens if it has ended."""
        if self._popen.returncode is None:  # not yet waited for, so its id cannot be another's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def stop(self, timeout: float = 5.0) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, and return the exit code."""
        if self.running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._popen.wait(timeout)
        return self.kill()

    def kill(self) -> int:
        """End it at once (SIGKILL) and return the exit code."""
        self.signal(signal.SIGKILL)
        return self._popen.wait()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again after `pause`."""
        self.signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it again after `stop` or `kill`; nothing happens if it runs."""
        if not self.running:
            self._popen = self._start()

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines of the log."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def check(self) -> None:
        """Raise `ProcessFailedError` if the process has ended."""
        if not self.running:
            raise self.failure(f"ended with exit code {self.exit_code}")

    def failure(self, what: str) -> ProcessFailedError:
        """Return an error that says what happened to this process and shows its log's last lines."""
        return ProcessFailedError(f"{self.name} {what}\n--- last lines of {self.log}\n{self.log_tail()}")


class Workspace:
    """A temporary folder and the processes started in it; a context manager that leaves neither behind.

    Leaving the `with` block ends the processes and removes the folder. Should this Python process end in any
    other way, SIGKILL included, a guardian process does the same; should the guardian be killed too, the
    next workspace that is made does it. No thread and no signal handler is involved.
    """

    def __init__(self) -> None:
        for folder in leftovers.dead_folders():
            leftovers.remove(folder)
        self.path = Path(tempfile.mkdtemp(prefix=leftovers.PREFIX)).resolve()
        self.processes: list[Process] = []
        self._lock = _locked(self.path / leftovers.LOCK)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", leftovers.__file__, str(self.path)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        (self.path / "logs").mkdir()
        _open.add(self)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        unset: Collection[str] = (),
        cwd: Path | None = None,
    ) -> Process:
        """Start a program; `env` is added to this process's environment, without the names that are `unset`.

        Its log is `logs/<name>.log`.

        Raises OSError when the program cannot be started at all.
        """
        environment = {key: value for key, value in os.environ.items() if key not in unset}
        process = Process(
            name,
            [str(part) for part in argv],
            self.path / "logs" / f"{name}.log",
            {**environment, **(env or {}), leftovers.MARK: str(self.path)},
            cwd or self.path,
        )
        self.processes.append(process)
        return process

    def forget(self, process: Process) -> None:
        """Drop a process that has ended, and its log."""
        process.kill()
        self.processes.remove(process)
        process.log.unlink(missing_ok=True)

    def close(self) -> None:
        """End every process, remove the folder, dismiss the guardian. May be called twice."""
        _open.discard(self)
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.kill()
        leftovers.remove(self.path)
        self._lock.close()
        if self._guardian.stdin:
            self._guardian.stdin.close()
        self._guardian.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def logs(lines: int) -> Iterator[tuple[str, str]]:
    """Each process in a workspace that this Python process has open: its name, and the last lines of its log."""
    for workspace in [*_open]:
        for process in workspace.processes:
            yield process.name, process.log_tail(lines)


_open: "weakref.WeakSet[Workspace]" = weakref.WeakSet()


def _locked(path: Path) -> IO[str]:
    """Create `path`, locked before it can be seen."""
    unseen = path.with_suffix(".new")
    lock = unseen.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unseen.rename(path)
    return lock
