"""The lock of a program that runs once, and Leases in memory for several that share one test."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.coordination.leases import Lease
from webhook.coordination.lock import lease_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.coordination.lock import Learn, WaitsSince
    from webhook.model.names import RoleArn, Subject


class InProcessHold:
    """Held until it is given back: nothing outside this process can take it."""

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Nothing to do: the one writer of the role remembers by itself."""

    def record_repair(self) -> None:
        """Nothing to do: there is no Lease."""

    async def renew(self) -> bool:
        """Always: nothing else waits."""
        return True

    def outlasts(self, seconds: float) -> bool:  # noqa: ARG002  the port's signature
        """Always: this lock has no expiry."""
        return True


class InProcessLock:
    """A RoleLock for a single replica. It does not guard against a second one."""

    def __init__(self) -> None:
        self._locks: defaultdict[RoleArn, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[InProcessHold]:  # noqa: ARG002  nothing else writes
        """Wait for the role's lock and hold it inside the `async with`."""
        async with self._locks[role]:
            yield InProcessHold()


class MemoryLeases:
    """A LeaseStore that compares and swaps, as the API server does."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self._version = 0

    async def get(self, name: str) -> Lease | None:
        """As the port says."""
        return self.leases.get(name)

    async def create(self, lease: Lease) -> Lease | None:
        """As the port says."""
        return None if lease.name in self.leases else self._store(lease)

    async def update(self, lease: Lease) -> Lease | None:
        """As the port says."""
        return self._store(lease) if self.leases[lease.name].version == lease.version else None

    def forge(
        self, role: RoleArn, written: Mapping[Subject, float], removed: Mapping[Subject, float] | None = None
    ) -> None:
        """Have a role's Lease say that these were written and removed, as news, and that it is free."""
        name = lease_name(role)
        found = self.leases.get(name, Lease(name, role.value))
        edition = found.edition + 1_000_000
        self._store(
            replace(found, holder=None, waiter=None, written=written, removed=removed or {}, edition=edition)
        )

    def _store(self, lease: Lease) -> Lease:
        self._version += 1
        self.leases[lease.name] = replace(lease, version=str(self._version))
        return self.leases[lease.name]
