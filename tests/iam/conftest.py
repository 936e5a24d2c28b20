"""The second opinion on trust policies."""

from collections.abc import Iterator

import pytest

from rig.oracle import TrustOracle


@pytest.fixture(scope="session")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as running:
        yield running
