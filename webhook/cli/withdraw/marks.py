"""The program's notes on Deployments: when it had one try again, and when it restarted one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.withdraw.plan import MarkedDeployment
from webhook.kube.errors import NotFoundError
from webhook.kube.lists import listed
from webhook.kube.objects import AnnotatedObject
from webhook.model.deployments import RESTARTED, RESTARTED_FOR, RETRIED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.kube.connection import Connection

_MARKS = (RETRIED, RESTARTED, RESTARTED_FOR)
_DEPLOYMENTS = "/apis/apps/v1/deployments"


async def marked_deployments(connection: Connection, names: Collection[str]) -> list[MarkedDeployment]:
    """Those of these names that carry a note (list deployments). Raises ClusterError."""

    def read() -> Iterator[MarkedDeployment]:
        for name in sorted(names):
            query = {"fieldSelector": f"metadata.name={name}"}
            for one in listed(connection, AnnotatedObject, _DEPLOYMENTS, query):
                if not (one.metadata.annotations or {}).keys().isdisjoint(_MARKS):
                    yield MarkedDeployment(one.metadata.namespace, one.metadata.name)

    return await connection.in_thread(lambda: list(read()))


async def remove_marks(connection: Connection, one: MarkedDeployment) -> None:
    """Remove them; its pods stay (patch deployments). It is no error where it is gone. Raises ClusterError."""
    path = f"/apis/apps/v1/namespaces/{one.namespace}/deployments/{one.name}"
    patch = {"metadata": {"annotations": dict.fromkeys(_MARKS)}}

    def call() -> None:
        connection.request("PATCH", path, body=patch, content_type="application/merge-patch+json")

    try:
        await connection.in_thread(call)
    except NotFoundError:
        return
