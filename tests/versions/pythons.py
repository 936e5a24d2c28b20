"""Pythons to run the unit tests on: of releases of Debian, unpacked for the occasion, or of this machine.

A Debian's programs are mounted over /usr, for one process and its children, so all else is this machine's: the
checkout, the cache folder and the settings of package indexes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from uv import find_uv_bin

from rig.node import debian
from rig.node.buildah import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

PYTHONS = {"3.11": "bookworm", "3.12": None, "3.13": "trixie", "3.14": "forky"}
"""Each version with the release of Debian whose own it is; the image's is one of these."""

PACKAGES = ("python3", "git", "ca-certificates")
OVER_USR = 'mount --bind "$0" /usr && exec "$@"'
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A mirror may be weeks behind with a release that is not stable yet. Its packages are signed all the same.
OF_ANY_DAY = '--aptopt=Acquire::Check-Valid-Until "false"'


class NotHadError(Exception):
    """There is no such Python, or nothing can be installed for it; the message says why."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python with all that the tests need. `inside` is the beginning of each command that runs it."""

    executable: Path
    source: str
    inside: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of such a command: no program of this machine's /usr or home is found by name."""
        return {**os.environ, "PATH": PATH} if self.inside else dict(os.environ)

    def run(self, *command: str | Path) -> str:
        """Run a command beside it and return what it printed. Raises NotHadError."""
        ran = subprocess.run(
            [*self.inside, *command], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise NotHadError(f"{Path(command[0]).name} failed: {(ran.stderr or ran.stdout).strip()[-300:]}")
        return ran.stdout.strip()


@contextmanager
def prepared(minor: str) -> Iterator[Interpreter]:
    """Give out that Python with the locked packages for the length of a `with` block. Raises NotHadError."""
    with TemporaryDirectory(prefix="mxp-python-") as name:
        folder = Path(name)
        base = _of_debian(minor, folder / "root") or _of_this_machine(minor)
        python = Interpreter(folder / "venv" / "bin" / "python", base.source, base.inside)
        install = (find_uv_bin(), "pip", "install", "--quiet", "--python", python.executable)
        base.run(find_uv_bin(), "venv", "--quiet", "--python", base.executable, folder / "venv")
        base.run(
            *install,
            "--compile-bytecode",
            "--require-hashes",
            "-r",
            "requirements/dev.txt",
            "-r",
            "requirements/uv.txt",
        )
        base.run(*install, "--no-deps", "--no-build-isolation", "-e", ".")
        yield python


def version_of(python: Interpreter) -> str:
    """Return such as "3.13.5". Raises NotHadError."""
    return python.run(python.executable, "-c", "import platform; print(platform.python_version())")


def _of_debian(minor: str, root: Path) -> Interpreter | None:
    suite = PYTHONS[minor]
    if suite is None or os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        return None
    try:
        debian.unpack(root, suite, PACKAGES, None, OF_ANY_DAY)
    except ImageError as error:
        raise NotHadError(str(error).splitlines()[-1]) from error
    inside = ("unshare", "--mount", "--propagation", "private", "sh", "-c", OVER_USR, str(root / "usr"))
    return Interpreter(Path(f"/usr/bin/python{minor}"), f"Debian {suite}", inside)


def _of_this_machine(minor: str) -> Interpreter:
    """One that is found by name, or that pyenv has; a name alone may be a link to nothing."""
    folders = [*map(Path, os.get_exec_path()), *Path.home().glob(f".pyenv/versions/{minor}.*/bin")]
    for executable in (folder / f"python{minor}" for folder in folders):
        found = Interpreter(executable, "this machine")
        if executable.is_file() and _runs(found):
            return found
    suite = PYTHONS[minor]
    otherwise = f"; Debian {suite}'s needs root and mmdebstrap (`make node-packages`)" if suite else ""
    raise NotHadError(f"this machine has no Python {minor}{otherwise}")


def _runs(python: Interpreter) -> bool:
    try:
        return bool(version_of(python))
    except NotHadError:
        return False
