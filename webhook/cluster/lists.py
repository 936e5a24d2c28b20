"""Reading a list page by page, so that no answer grows with the cluster, nor with what is in its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cluster.answers import MIB, TooLargeError
from webhook.cluster.boundary import every_outcome
from webhook.cluster.deadlines import Deadline
from webhook.cluster.objects import RawList

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cluster.connection import Connection

PAGE = 500
"""Objects a page at most, as client-go reads them."""

LARGEST_OBJECT = 16 * MIB
"""Bytes of JSON that no object has, so that its owner cannot stop a list or a watch of all.

etcd stores 1.5 MiB of an object (--max-request-bytes). JSON writes a `<` as six characters, and has the names of
fields, which etcd's form has not: that is at most ten times as much.
"""

_LARGEST_PAGE = 6 * MIB
"""500 pods, and thousands of namespaces or ServiceAccounts, as they usually are."""

_SMALLER = 4
_PAGE_SECONDS = 30.0

LONGEST_LIST = 900.0
"""Seconds for all pages: longer than an API server keeps the place where a list goes on."""


def pages(connection: Connection, path: str, query: Mapping[str, str]) -> Iterator[RawList]:
    """The pages of a list, within `LONGEST_LIST`. Blocks; raises ClusterError, ExpiredError after too long.

    A page that has too many bytes is dropped and asked for with fewer objects; later ones grow again.
    """
    limit, token, deadline = PAGE, "", Deadline(LONGEST_LIST)
    while True:
        with every_outcome(f"GET {path}"):
            seconds = min(_PAGE_SECONDS, deadline.left())
        wanted = {**query, "limit": str(limit)} | ({"continue": token} if token else {})
        most = _LARGEST_PAGE if limit > 1 else LARGEST_OBJECT
        try:
            page = connection.ask(RawList, "GET", path, query=wanted, seconds=seconds, most=most)
        except TooLargeError:
            if limit == 1:
                raise
            limit = max(limit // _SMALLER, 1)
            continue
        yield page
        token = page.metadata.continue_
        if not token:
            return
        if sum(map(len, page.items or ())) < _LARGEST_PAGE // _SMALLER:
            limit = min(2 * limit, PAGE)


def newest_version(connection: Connection, path: str, query: Mapping[str, str]) -> str:
    """The version of the list as it is now, read with one object of it. Blocks; raises ClusterError."""
    page = connection.ask(
        RawList, "GET", path, query={**query, "limit": "1"}, seconds=_PAGE_SECONDS, most=LARGEST_OBJECT
    )
    return page.metadata.resource_version
