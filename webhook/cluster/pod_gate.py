"""The ConfigMap that tells the API server for which bindings it may refuse pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.cluster.connection import NotFoundError
from webhook.domain.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cluster.connection import Connection

_JSON_PATCH = "application/json-patch+json"


class _ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] | None = None


class GateConfigMap:
    """The port GateMarks: one ConfigMap of the program's own namespace (get and patch it by name).

    An installation creates it. Nothing of it but its data is written.
    """

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._missing = (
            f"there is no ConfigMap {namespace}/{name}, so that no pod is refused, and the program may not create "
            "one: the chart does, so run helm upgrade again"
        )

    async def read(self) -> Mapping[str, str]:
        """Its data. Raises ClusterError, where there is none with what to do."""
        return await self._call("GET")

    async def write(self, marks: Mapping[str, str]) -> None:
        """Replace its data. Raises ClusterError."""
        await self._call("PATCH", [{"op": "add", "path": "/data", "value": dict(marks)}])

    async def _call(self, method: str, body: list[dict[str, object]] | None = None) -> Mapping[str, str]:
        def call() -> _ConfigMap:
            return self._connection.ask(_ConfigMap, method, self._path, body=body, content_type=_JSON_PATCH)

        try:
            found = await self._connection.in_thread(call)
        except NotFoundError as error:
            raise ClusterError(self._missing) from error
        return found.data or {}
