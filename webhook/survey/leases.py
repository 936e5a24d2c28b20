"""Which roles the program has ever written, by the Leases that it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.domain.errors import ClusterError, InvalidNameError
from webhook.domain.names import RoleArn

if TYPE_CHECKING:
    from webhook.cluster.connection import Connection

_ROLE = "mxp-identity/role-arn"


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] = {}


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _Leases(msgspec.Struct, frozen=True):
    items: list[_Lease]


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
