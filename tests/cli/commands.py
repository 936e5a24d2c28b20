"""Running the program's commands as a person does, in the rights of the rig's administrator."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import structlog
import yaml

from rig.forking import Forked
from rig.space import Space
from rig.tools import binary
from webhook.cli.app import main

REPOSITORY = Path(__file__).parents[2]
BINDING = {
    "name": "backup",
    "serviceAccount": "mxp-controller",
    "namespaces": {"pattern": "mxp-*-system"},
    "mode": "irsa",
    "roles": ["arn:aws:iam::123456789012:role/mxp-backup"],
}
"""A whole binding, of a role that need not be there."""

PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
"""The environment of a command that knows no cluster and no account."""


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def environment(space: Space) -> dict[str, str]:
    """The administrator's way to cluster and account."""
    return {**space.aws.environment(base={"PATH": "/usr/bin:/bin"}), "KUBECONFIG": str(space.cluster.kubeconfig)}


def run(*arguments: str, env: Mapping[str, str], timeout: float = 60) -> Ran:
    """Run a command to its end; its exit code is not checked."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = Forked([sys.executable, "-m", "webhook", *arguments], env, Path.cwd(), out, err)
        return Ran(process.wait(timeout), out.read_text(), err.read_text())


def call(*arguments: str, env: Mapping[str, str]) -> Ran:
    """Run a command to its end in this process, which takes a tenth of the time; without its logs."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["mxp-identity", *arguments]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        mock.patch("webhook.cli.running.configure_logs"),
        structlog.testing.capture_logs(),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    written = [one.buffer.getvalue().decode() for one in (out, err)]
    return Ran(int(ended.value.code or 0), *written)


def start(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command, whose output and errors are read by the caller that waits for its end."""
    argv = [sys.executable, "-m", "webhook", *arguments]
    return subprocess.Popen(argv, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def cut_off(ending: signal.Signals, *arguments: str, env: Mapping[str, str]) -> int:
    """Run a command, which gets a signal once its first write is answered; answers its exit code."""
    argv = [sys.executable, "-m", "tests.cli.cut", str(int(ending)), *arguments]
    ran = subprocess.run(argv, env=dict(env), capture_output=True, text=True, check=False, timeout=90)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode


def run_on_terminal(*arguments: str, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a command whose output and errors go to a terminal: its exit code, and all that it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "webhook", *arguments],
        env={"TERM": "xterm-256color", "COLUMNS": "120", **env},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while piece := _read(ours):
        written += piece
    os.close(ours)
    return process.wait(timeout=60), written.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a terminal says that the last who wrote to it has gone
        return b""


def without_codes(written: str) -> str:
    """What a terminal shows, without colours and movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)


def run_as_printed(fix: str, env: Mapping[str, str], folder: Path) -> None:
    """Run a fix in a shell that finds kubectl, helm, aws and mxp-identity, in the repository."""
    for name in ("kubectl", "helm"):
        link = folder / name
        if not link.exists():
            link.symlink_to(binary(name))
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    done = subprocess.run(
        ["bash", "-c", fix],
        env={**env, "PATH": path, "HOME": str(folder), "AWS_PAGER": ""},  # caches go where the test's files are
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in {0, 4}, (fix, done.stdout, done.stderr)


class Person:
    """A person with a configuration file and a terminal's environment."""

    def __init__(self, space: Space, **sections: Any) -> None:
        self.environment = environment(space)
        self.file = space.cluster.workspace.path / "person.yaml"
        self.file.write_text(yaml.safe_dump(space.configuration(**sections)))

    def __call__(self, command: str, *arguments: str) -> Ran:
        """Run a command with the file."""
        return run(command, "--config", str(self.file), *arguments, env=self.environment)
