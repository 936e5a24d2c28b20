"""The second opinion on trust policies, and how long properties search."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from rig.oracle import TrustOracle

# No deadline: the machine that runs this is busy with other things, and one slow example is no finding.
settings.register_profile(
    "shared-machine", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as running:
        yield running
