"""Finished binaries in the user's cache folder, and how a damaged one is told from a whole one.

    <cache>/bin/<tool>-<hash>/<tool>          the binary
    <cache>/bin/<tool>-<hash>/manifest.json   its size, time and SHA-256
    <cache>/go/                               what building needs; gone when all is built

A folder appears under its final name in one step, with both files in it, so a build that is killed leaves
nothing that looks finished. Several checkouts share one cache.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from rig.tools.catalogue import Tool

PARTIAL = ".partial-"
UNUSED_AFTER_S = 30 * 24 * 3600.0


def cache_folder() -> Path:
    """Return this project's folder in the user's cache folder; it may not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return home / "mxp-identity-webhook"


class Store:
    """The finished binaries below one cache folder."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._bin = cache / "bin"

    def find(self, tool: Tool) -> Path | None:
        """Return the tool's binary if it is there and whole.

        Size and time of change are compared each time; the SHA-256 only when the time differs.
        """
        folder = self._bin / tool.key
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            path: Path = folder / tool.name
            found = path.stat()
            if found.st_size != manifest["size"] or not os.access(path, os.X_OK):
                return None
            if found.st_mtime_ns != manifest["mtime_ns"]:
                if _sha256(path) != manifest["sha256"]:
                    return None
                os.utime(path, ns=(found.st_atime_ns, manifest["mtime_ns"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return path

    def partial(self, tool: Tool) -> Path:
        """Return the path at which to build the tool, in a new folder that counts for nothing yet."""
        folder = self._bin / f"{PARTIAL}{tool.key}-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder / tool.name

    def publish(self, tool: Tool, built: Path) -> Path:
        """Give what was built at `partial(tool)` its final name, in place of a damaged one if there is one."""
        found = built.stat()
        manifest = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": _sha256(built)}
        (built.parent / "manifest.json").write_text(json.dumps(manifest))
        final = self._bin / tool.key
        if final.exists():
            damaged = self._bin / f"{PARTIAL}damaged-{tool.key}-{os.getpid()}"
            final.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        built.parent.rename(final)
        return final / tool.name

    def touch(self, tool: Tool) -> None:
        """Note that the tool is in use, for `tidy`."""
        with contextlib.suppress(OSError):
            os.utime(self._bin / tool.key / "manifest.json")

    def tidy(self) -> None:
        """Remove what killed builds left and what no checkout has asked for in 30 days; hold the lock."""
        with contextlib.suppress(FileNotFoundError):
            for folder in self._bin.iterdir():
                if folder.name.startswith(PARTIAL) or _age(folder / "manifest.json") > UNUSED_AFTER_S:
                    shutil.rmtree(folder, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
