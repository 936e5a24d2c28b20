"""What the tests of the rig share."""

from collections.abc import Iterator

import pytest

from rig.kubernetes import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster with everything in it; each test uses namespaces of its own."""
    with Cluster() as running:
        yield running
