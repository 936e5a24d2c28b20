"""What every test may use: `record`, by which a test says what it measured."""

import signal

import pytest

from tests.proof.records import Figure, Measurement, Record

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keeps a test's figures for docs/proof.md; see `Record`."""

    def keep(claim: str, /, **measured: Figure) -> None:
        Measurement(request.node.nodeid, claim, measured).keep()

    return keep
