"""A whole Space for each test: its cluster is as new, its account is new."""

from collections.abc import Iterator

import pytest

from rig.space import Space
from tests.e2e.scenes import LARGE_QUOTA, whole_space


@pytest.fixture
def space() -> Iterator[Space]:
    with whole_space() as running:
        yield running


@pytest.fixture
def roomy_space() -> Iterator[Space]:
    """One whose role has room for thousands of subjects."""
    with whole_space(quota=LARGE_QUOTA) as running:
        yield running
