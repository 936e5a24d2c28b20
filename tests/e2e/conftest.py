"""A whole Space for each test: nothing that one test leaves behind can help or hinder another."""

from collections.abc import Iterator

import pytest

from rig.space import Space


@pytest.fixture
def space() -> Iterator[Space]:
    with Space() as running:
        yield running


@pytest.fixture
def roomy_space() -> Iterator[Space]:
    """One whose role has room for thousands of subjects."""
    with Space(quota=131072) as running:
        yield running
