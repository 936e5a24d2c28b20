"""The Leases of the program as a person finds them: which roles it has ever written, and whether they may lock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from webhook.coordination.leases import Lease
from webhook.kube.connection import NotFoundError, RefusedError
from webhook.kube.leases import lease_object
from webhook.kube.lists import listed
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from webhook.kube.connection import Connection

_ROLE = "mxp-identity/role-arn"

_NOBODY = "mxp-identity-nobody"
"""A Lease that there never is."""


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] = {}


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata


async def check_locks(connection: Connection, namespace: str) -> None:
    """Raise ClusterError unless whoever asks may take the program's locks (get, create and update leases).

    A writer whose lock is refused waits for better times; a person would wait with it. Sent as dry runs.
    """
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    body, dry = lease_object(Lease(_NOBODY, "")), {"dryRun": "All"}

    def ask() -> None:
        connection.request("POST", path, body=body, query=dry)
        connection.request("PUT", f"{path}/{_NOBODY}", body=body, query=dry)
        with suppress(NotFoundError):
            connection.request("GET", f"{path}/{_NOBODY}")

    await connection.in_thread(ask)


async def roles_written_before(connection: Connection, namespace: str) -> frozenset[RoleArn]:
    """The roles of the Leases in `namespace`; none without the right to list them. Raises ClusterError."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def read() -> list[_Lease]:
        return list(listed(connection, _Lease, path, {}))

    try:
        leases = await connection.in_thread(read)
    except RefusedError:
        return frozenset()
    roles = set()
    for lease in leases:
        try:
            roles.add(RoleArn(lease.metadata.annotations.get(_ROLE, "")))
        except InvalidNameError:
            continue
    return frozenset(roles)
