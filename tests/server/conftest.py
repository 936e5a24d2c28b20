"""What the tests of the server share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import AwsStandIn, TokenIssuer
from tests.server.place import Place
from tests.support.quiet import _nothing_unexpected
from tests.support.sites import ISSUER
from tests.support.stub_api_server import StubApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


__all__ = ["_nothing_unexpected"]


@pytest.fixture(scope="module")
def keys() -> TokenIssuer:
    """The cluster's."""
    return TokenIssuer(ISSUER.value)


@pytest.fixture
def place(tmp_path: Path, keys: TokenIssuer) -> Iterator[Place]:
    with StubApiServer(issuer=ISSUER.value) as api, AwsStandIn() as aws:
        yield Place(tmp_path, api, aws, keys)
