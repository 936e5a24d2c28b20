"""What the tests of the rig share."""

from collections.abc import Iterator

import pytest

from rig.kubernetes import Cluster
from rig.kubernetes.shared import borrowed


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster with everything in it; each test uses namespaces of its own."""
    with borrowed() as running:
        yield running
