"""The Leases of the program as a person finds them: which roles it has ever written, and whether they may lock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from webhook.cluster.connection import NotFoundError
from webhook.cluster.leases import lease_object
from webhook.domain.errors import ClusterError, InvalidNameError
from webhook.domain.names import RoleArn
from webhook.trust.leases import Lease

if TYPE_CHECKING:
    from webhook.cluster.connection import Connection

_ROLE = "mxp-identity/role-arn"

_NOBODY = "mxp-identity-nobody"
"""A Lease that there never is."""


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] = {}


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _Leases(msgspec.Struct, frozen=True):
    items: list[_Lease]


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
    """The roles of the Leases in `namespace`; none where the right to list them is missing."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    try:
        body = await connection.in_thread(lambda: connection.request("GET", path))
    except ClusterError:
        return frozenset()
    roles = set()
    for lease in msgspec.json.decode(body, type=_Leases).items:
        try:
            roles.add(RoleArn(lease.metadata.annotations.get(_ROLE, "")))
        except InvalidNameError:
            continue
    return frozenset(roles)
