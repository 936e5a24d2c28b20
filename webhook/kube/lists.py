"""Reading a list page by page, so that no answer grows with the cluster, nor with what is in its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from webhook.controller.ports import MOST_OBJECTS
from webhook.kube.deadlines import Deadline
from webhook.kube.errors import MIB, TooLargeError, every_outcome
from webhook.kube.objects import VersionMetadata, decode
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.kube.connection import Connection

T = TypeVar("T")

LARGEST_OBJECT = 12 * MIB
"""Bytes of JSON, more than any object has. So no owner of an object can stop a list or a watch of all.

etcd stores 1.5 MiB of an object (--max-request-bytes). JSON writes a `<` as six characters, which makes 9 MiB; the
rest is for names of fields, which etcd's form has not.
"""

PAGE = 500
"""Objects of a page at most, as client-go reads them."""

_LARGEST_PAGE = 6 * MIB
"""500 pods, and thousands of namespaces or ServiceAccounts, as they usually are."""

_SMALLER = 4
_PAGE_SECONDS = 30.0

LONGEST_LIST = 900.0
"""Seconds for all pages: longer than an API server keeps the place where a list goes on."""


class _ListMetadata(VersionMetadata, frozen=True):
    """Where to watch from, and how to get the next page."""

    continue_: str = msgspec.field(default="", name="continue")


# As fields of a tuple: of a list msgspec counts the items once it has built them all.
_items_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "Items",
        [(f"item_{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(PAGE)],
        array_like=True,
        forbid_unknown_fields=True,
    )
    | None
)


class _Page(msgspec.Struct, frozen=True):
    """A page of a list, its items not read yet. Both parts have to be there: an empty list empties a mirror."""

    metadata: _ListMetadata
    items: msgspec.Raw

    def objects(self) -> list[msgspec.Raw]:
        """The JSON of each item. Raises msgspec.MsgspecError where there are more than `PAGE`, however small."""
        items = msgspec.structs.astuple(found) if (found := _items_decoder.decode(self.items)) else ()
        return [item for item in items if item is not msgspec.UNSET]


def pages(connection: Connection, path: str, query: Mapping[str, str]) -> Iterator[tuple[list[msgspec.Raw], str]]:
    """The pages of a list, each with the list's version, within `LONGEST_LIST`.

    Blocks; raises ClusterError, ExpiredError after too long.

    A page that has too many bytes is dropped and asked for with fewer objects; later ones grow again. A list that
    does not end is an error: one of more than `MOST_OBJECTS`, or that goes on after a page with none.
    """
    limit, token, deadline, found = PAGE, "", Deadline(LONGEST_LIST), 0
    while True:
        with every_outcome(f"GET {path}"):
            seconds = min(_PAGE_SECONDS, deadline.left())
        wanted = {**query, "limit": str(limit)} | ({"continue": token} if token else {})
        most = _LARGEST_PAGE if limit > 1 else LARGEST_OBJECT
        try:
            page = connection.ask(_Page, "GET", path, query=wanted, seconds=seconds, most=most)
            with every_outcome(f"GET {path}"):
                objects = page.objects()
        except TooLargeError:
            if limit == 1:
                raise
            limit = max(limit // _SMALLER, 1)
            continue
        found += len(objects)
        token = page.metadata.continue_
        if found > MOST_OBJECTS:
            raise ClusterError(f"GET {path}: the list has more than {MOST_OBJECTS} objects")
        if token and not objects:
            raise ClusterError(f"GET {path}: the list goes on after a page without objects")
        yield objects, page.metadata.resource_version
        if not token:
            return
        if sum(map(len, objects)) < _LARGEST_PAGE // _SMALLER:
            limit = min(2 * limit, PAGE)


def listed(connection: Connection, kind: type[T], path: str, query: Mapping[str, str]) -> Iterator[T]:
    """The objects of a list, one after another. Blocks; raises as `pages` does, and msgspec's errors."""
    for items, _ in pages(connection, path, query):
        for item in items:
            yield decode(item, kind)


def newest_version(connection: Connection, path: str, query: Mapping[str, str]) -> str:
    """The version of the list as it is now, read with one object of it. Blocks; raises ClusterError."""
    page = connection.ask(
        _Page, "GET", path, query={**query, "limit": "1"}, seconds=_PAGE_SECONDS, most=LARGEST_OBJECT
    )
    return page.metadata.resource_version
