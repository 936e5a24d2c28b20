"""Repositories to make releases of: the files as they are now, committed."""

import os
import shutil
import subprocess
from pathlib import Path

from rig.release.make import Made, make
from rig.release.source import REPOSITORY, exported

PERSON = {"NAME": "A Person", "EMAIL": "person@example.com", "DATE": "2026-11-01T12:00:00+00:00"}
GIT = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, **GIT, "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=as it is")


def repository_in(folder: Path) -> Path:
    """A repository with this one's files as they are now, in one commit."""
    for name in git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source = REPOSITORY / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def release_of(repository: Path, out: Path, *architectures: str) -> Made:
    with exported(repository) as source:
        return make(source, out, architectures)
