"""What every test may use: `record`, by which a test says what it measured."""

import pytest

from tests.proof.records import Figure, Measurement, Record


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keeps a test's figures for docs/proof.md; see `Record`."""

    def keep(claim: str, /, **measured: Figure) -> None:
        Measurement(request.node.nodeid, claim, measured).keep()

    return keep
