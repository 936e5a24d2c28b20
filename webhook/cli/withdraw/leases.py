"""The Leases that an installation leaves behind: its leader's, and the locks of its roles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from webhook.cli.withdraw.plan import LeftLease
from webhook.controller.leader_election import leader_lease
from webhook.coordination.leases import DURATION
from webhook.coordination.lock import lease_name
from webhook.kube.errors import NotFoundError
from webhook.kube.leases import Leases, parse_lease
from webhook.kube.lists import listed
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from webhook.kube.connection import Connection

_LOOK_SECONDS = 1.0


async def leases_in(connection: Connection, namespace: str, installation: str) -> tuple[LeftLease, ...]:
    """The leader's Lease of the installation, and the locks of roles (list leases). Raises ClusterError."""

    def read() -> list[LeftLease]:
        found = (parse_lease(bytes(one))[0] for one in listed(connection, msgspec.Raw, _path(namespace), {}))
        return [LeftLease(one.name, one.role, one.version) for one in found]

    leader = leader_lease(installation)
    found = await connection.in_thread(read)
    return tuple(one for one in found if one.name == leader or role_of(one) is not None)


def role_of(lease: LeftLease) -> RoleArn | None:
    """The role whose lock it is; None for any other Lease."""
    try:
        role = RoleArn(lease.role)
    except InvalidNameError:
        return None
    return role if lease.name == lease_name(role) else None


async def is_led(connection: Connection, namespace: str, installation: str) -> bool:
    """Whether a replica renews the leader's Lease, as the leader does every 3 s (get leases).

    A holder that was killed stays in the Lease. Clocks are not compared, so this takes 11 s then. Raises
    ClusterError.
    """
    leases, name = Leases(connection, namespace), leader_lease(installation)
    first = await leases.get(name)
    if first is None or first.holder is None:
        return False
    for _ in range(int(DURATION / _LOOK_SECONDS) + 1):
        await asyncio.sleep(_LOOK_SECONDS)
        found = await leases.get(name)
        if found and found.holder and (found.holder, found.renewals) != (first.holder, first.renewals):
            return True
    return False


async def delete_lease(connection: Connection, namespace: str, lease: LeftLease) -> None:
    """Delete one that has not changed since it was read (delete leases). It is no error where it is gone.

    Raises ConflictError for one that has changed, and ClusterError.
    """
    unchanged = {"preconditions": {"resourceVersion": lease.version}}

    def delete() -> None:
        connection.request("DELETE", f"{_path(namespace)}/{lease.name}", body=unchanged)

    try:
        await connection.in_thread(delete)
    except NotFoundError:
        return


def _path(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
