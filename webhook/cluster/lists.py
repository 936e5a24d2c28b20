"""Reading a list page by page, so that no answer grows with the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.cluster.objects import RawList
from webhook.reconcile.ports import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cluster.connection import Connection

PAGE = 500
"""Objects a page, as client-go reads them."""

_PAGE_SECONDS = 30.0

_decoder = msgspec.json.Decoder(RawList)


def pages(connection: Connection, path: str, query: Mapping[str, str]) -> Iterator[RawList]:
    """The pages of a list. Blocks; raises ClusterError, ExpiredError where the list took too long."""
    token = ""
    while True:
        wanted = {**query, "limit": str(PAGE)} | ({"continue": token} if token else {})
        try:
            page = _decoder.decode(connection.request("GET", path, query=wanted, seconds=_PAGE_SECONDS))
        except msgspec.MsgspecError as error:
            raise ClusterError(f"GET {path}: the answer is not a list: {error}") from error
        yield page
        token = page.metadata.continue_
        if not token:
            return
