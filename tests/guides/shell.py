"""One bash for a whole page: what a command exports, the next one sees."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Ran:
    """What a command printed, how it ended, and how long it took in seconds."""

    code: int
    out: str
    err: str
    seconds: float


class Shell:
    """A bash in a folder with an environment and no other; a context manager that leaves no process behind."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = dict(environment)
        self._scratch = folder / ".shell"

    def __enter__(self) -> Self:
        self._scratch.mkdir(exist_ok=True)
        self._codes, told = os.pipe()
        try:
            self._bash = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                stdin=subprocess.PIPE,
                cwd=self.folder,
                env={**self._environment, "CODES": str(told)},
                pass_fds=(told,),
                start_new_session=True,
                text=True,
            )
        finally:
            os.close(told)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        if self._bash.stdin:
            self._bash.stdin.close()
        os.close(self._codes)

    def run(self, command: str, *, timeout: float = TIMEOUT_S) -> Ran:
        """Run a command to its end; raises TimeoutError after `timeout` s, EOFError if it ended the shell."""
        script, out, err = (self._scratch / name for name in ("command", "out", "err"))
        script.write_text(f"{command}\n")
        began = time.monotonic()
        stdin = self._bash.stdin
        if stdin is None:
            raise EOFError("the shell has no input")
        stdin.write(f'. "{script}" >"{out}" 2>"{err}" </dev/null; echo $? >&$CODES\n')
        stdin.flush()
        code = self._code(command, timeout)
        return Ran(code, out.read_text(), err.read_text(), time.monotonic() - began)

    def _code(self, command: str, timeout: float) -> int:
        ready, _, _ = select.select([self._codes], [], [], timeout)
        if not ready:
            raise TimeoutError(f"not done after {timeout:g} s: {command}")
        told = os.read(self._codes, 16)
        if not told:
            raise EOFError(f"the shell has ended: {command}")
        return int(told)
