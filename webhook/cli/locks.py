"""The locks of roles for a command, in the namespace of a release that may be there or not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from webhook.cli.snapshots.release import check_locks
from webhook.config.runtime_environment import process_identity
from webhook.coordination.lock import LeaseLock
from webhook.kube.leases import Leases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.coordination.lock import Hold, Learn, RoleLock, WaitsSince
    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn, Subject


async def role_lock(connection: Connection, namespace: str, *, exists: bool) -> RoleLock:
    """The locks of the program in that namespace; where it does not exist, there is no program to lock out.

    Raises ClusterError without the right to take them.
    """
    if not exists:
        return _NoLock()
    await check_locks(connection, namespace)
    return LeaseLock(Leases(connection, namespace), process_identity())


class _NoLock:
    """The RoleLock of a cluster in which no program runs."""

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[Hold]:  # noqa: ARG002  the port's
        """As the port says."""
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
