"""The locks of roles for a command, in the namespace of a release that may be there or not."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from webhook.config.runtime_environment import process_identity
from webhook.coordination.leases import Lease
from webhook.coordination.lock import LeaseLock
from webhook.kube.errors import NotFoundError
from webhook.kube.leases import Leases, lease_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.coordination.lock import Hold, Learn, RoleLock, WaitsSince
    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn, Subject

_NO_LEASE = "mxp-identity-no-role"
"""A Lease that there never is."""


async def role_lock(connection: Connection, namespace: str, *, exists: bool = True) -> RoleLock:
    """The locks of the program in that namespace; where it does not exist, there is no program to lock out.

    Raises ClusterError without the right to take them.
    """
    if not exists:
        return _NoLock()
    await _check_rights(connection, namespace)
    return LeaseLock(Leases(connection, namespace), process_identity())


async def _check_rights(connection: Connection, namespace: str) -> None:
    """Raise ClusterError without the right to take the program's locks (get, create and update leases).

    A writer whose lock is refused tries again and again; a person would wait with it. Sent as dry runs.
    """
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    body, dry = lease_object(Lease(_NO_LEASE, "")), {"dryRun": "All"}

    def ask() -> None:
        connection.request("POST", path, body=body, query=dry)
        connection.request("PUT", f"{path}/{_NO_LEASE}", body=body, query=dry)
        with suppress(NotFoundError):
            connection.request("GET", f"{path}/{_NO_LEASE}")

    await connection.in_thread(ask)


class _NoLock:
    """The RoleLock of a cluster in which no program runs."""

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[Hold]:  # noqa: ARG002  the port's
        yield _NoHold()


class _NoHold:
    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """There is no other writer to report to."""

    def record_repair(self) -> None:
        """No program counts it."""

    def outlasts(self, seconds: float) -> bool:  # noqa: ARG002  the port's
        return True

    async def renew(self) -> bool:
        return True
