"""A release of the files as they are now, without images: those take minutes and root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def release_of(repository: Path, out: Path) -> Made:
    with exported(repository) as source:
        return make(source, out, ())


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository_in(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return release_of(repository, tmp_path_factory.mktemp("release") / "dist")
