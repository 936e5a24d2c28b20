"""The ServiceAccount whose annotations mark for the API server the bindings whose pods it may refuse.

They are the parameter of policies. It is a ServiceAccount, because the API server watches these for itself: its
watch of ConfigMaps ends for good with the last policy that has one as parameter (kubernetes/kubernetes#130887).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.kube.errors import NotFoundError
from webhook.kube.objects import AnnotatedObject
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.kube.connection import Connection

PREFIX = "mxp-identity/refuses-"
"""How a mark begins."""

_MERGE = "application/merge-patch+json"


class GateAccount:
    """The port GateMarks: one ServiceAccount of the program's own namespace (get and patch it by name).

    An installation creates it, and no pod runs as it. Nothing of it but marks is written.
    """

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        self._missing = (
            f"there is no ServiceAccount {namespace}/{name}, so that no pod is refused, and the program may not "
            "create one: the chart does, so run helm upgrade again"
        )

    async def read(self) -> Mapping[str, str]:
        """Its marks. Raises ClusterError, where there is none with what to do."""
        found = await self._call("GET")
        return {key: name for key, name in (found.metadata.annotations or {}).items() if key.startswith(PREFIX)}

    async def write(self, marks: Mapping[str, str], replacing: Mapping[str, str]) -> None:
        """Have these marks, and none of those that were read. Raises ClusterError."""
        annotations = {**dict.fromkeys(replacing), **marks}
        await self._call("PATCH", {"metadata": {"annotations": annotations}})

    async def _call(self, method: str, body: dict[str, object] | None = None) -> AnnotatedObject:
        def call() -> AnnotatedObject:
            return self._connection.ask(AnnotatedObject, method, self._path, body=body, content_type=_MERGE)

        try:
            return await self._connection.in_thread(call)
        except NotFoundError as error:
            raise ClusterError(self._missing) from error
