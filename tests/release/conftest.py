"""A release of the files as they are now, without images: those take minutes and root."""

from pathlib import Path

import pytest

from rig.release.make import Made
from tests.release.repositories import release_of, repository_in


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository_in(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return release_of(repository, tmp_path_factory.mktemp("release") / "dist")
