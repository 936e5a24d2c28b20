"""The lock between replicas: one Lease in the API server for each role.

What it promises: while every holder's clock runs at a normal rate, one replica at a time believes that it holds
a role's lock, and a holder that dies is replaced one lease duration after a waiting replica first saw its last
renewal. What it does not promise: fencing. A holder that is stalled between its last look at the clock and its
write can still send that write late, and other clusters know nothing of this lock. The pass over the whole
cluster puts right what slips through.

Expiry is counted from the first local observation of a renewal, as client-go's leader election does it, so
clocks of different machines are never compared.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import structlog

from webhook.coordination.lock import LockError
from webhook.coordination.recent_writes import REMEMBERED
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.coordination.lock import Seen, WaitsSince
    from webhook.model.names import RoleArn, Subject

log = structlog.get_logger(__name__)

DURATION = 10.0
"""Seconds that a lock is held without renewal."""

_FIRST_POLL, _LONGEST_POLL = 0.01, 0.1
"""Seconds until a Lease that another replica holds is read again, on average: twice as long each time. A holder
that has just answered its reviews is about to give the lock back."""

_PATIENCE = 1.0
"""Seconds that somebody waits before its replica asks to be handed the lock: often the holder writes it too."""

_RETRY = 0.5
"""Seconds until the API server is asked again to store what a write has changed."""

MARK_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as the lock reads and writes it; `version` is the API server's, for compare-and-swap."""

    name: str
    role: str
    holder: str | None = None
    waiter: str | None = None
    renewals: int = 0
    """Counts acquisitions and renewals, so that an observer sees each."""
    written: Mapping[Subject, float] = field(default_factory=dict)
    """Subjects written to the role lately, with the seconds that had passed since when this was stored."""
    removed: Mapping[Subject, float] = field(default_factory=dict)
    """Subjects removed from the role lately, in the same way; none is among `written` with fewer seconds."""
    edition: int = 0
    """The `renewals` at which both were stored: the same edition is no news, however often it is renewed."""
    removals: tuple[tuple[float, int], ...] = ()
    """Of the leader's Lease: removals within the hour, seconds ago when this was stored, and how many."""
    leaving: tuple[str, ...] = ()
    """Of the leader's Lease: the marks of whom it is about to remove, counted among the removals already."""
    witnessed: tuple[str, ...] = ()
    """Of the leader's Lease: the marks of what it removes without counting. For people's plans only: a hint."""
    version: str = ""


class LeaseStore(Protocol):
    """Leases in the API server. All raise ClusterError."""

    async def get(self, name: str) -> Lease | None:
        """The Lease, or None where there is none."""

    async def create(self, lease: Lease) -> Lease | None:
        """Create it; None where there is one already."""

    async def update(self, lease: Lease) -> Lease | None:
        """Replace the version that `lease` was read as; None where it has changed since."""


def lease_name(role: RoleArn) -> str:
    """The name of a role's Lease: an ARN is too long and has the wrong characters."""
    return f"mxp-identity-{mark(str(role))}"


def mark(text: str) -> str:
    """A short name for a long text: hexadecimal digits, as many as `MARK_DIGITS`."""
    return sha256(text.encode()).hexdigest()[:MARK_DIGITS]


class LeaseHold:
    """A role's lock, held until `_until` on the event loop's clock."""

    def __init__(self, store: LeaseStore, lease: Lease, until: float) -> None:
        self._store = store
        self._lease = lease
        self._until = until
        self._clock = asyncio.get_running_loop().time
        self.stored_edition = lease.edition
        """Which edition of what was written and removed the API server has."""

    def outlasts(self, seconds: float) -> bool:
        """Whether the lock is ours for that much longer by our own clock; may be asked in any thread."""
        return self._clock() + seconds < self._until

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Have other replicas know what was written and removed, and how many seconds ago.

        It is stored with the next renewal, or when the lock is given back.
        """
        self._lease = replace(self._lease, written=written, removed=removed, edition=self._lease.renewals)

    async def again(self) -> bool:
        """Hold it for another cycle; False where another replica waits or has it. Raises LockError."""
        try:
            return await self._renew()
        except ClusterError as error:
            raise LockError(f"the lock could not be renewed: {error}") from error

    async def give_back(self) -> None:
        """Let it go: to the replica that waits, if one does.

        What other replicas have to know of a write is stored with it. So it is tried for as long as the lock is
        ours where the API server fails, and lacks that.
        """
        while True:
            try:
                await self._free()
            except ClusterError as error:
                if self._lease.edition == self.stored_edition or not self.outlasts(_RETRY):
                    log.warning("lock_not_given_back", role_arn=self._lease.role, reason=str(error))
                    return
            else:
                return
            await asyncio.sleep(_RETRY)

    async def _free(self) -> None:
        while True:
            heir = self._lease.waiter
            freed = replace(self._lease, holder=heir, waiter=None, renewals=self._lease.renewals + 1)
            if await self._store.update(freed) is not None:
                self.stored_edition = freed.edition
                return
            if not await self._look_again():
                return

    async def _renew(self) -> bool:
        while self._lease.waiter is None:
            asked = asyncio.get_running_loop().time()
            renewed = await self._store.update(replace(self._lease, renewals=self._lease.renewals + 1))
            if renewed is not None:
                self._lease, self._until = renewed, asked + DURATION
                self.stored_edition = renewed.edition
                return True
            if not await self._look_again():
                return False
        return False

    async def _look_again(self) -> bool:
        """Take in what changed under us; False where the lock is no longer ours."""
        found = await self._store.get(self._lease.name)
        if found is None or found.holder != self._lease.holder or found.renewals != self._lease.renewals:
            return False
        mine = self._lease
        self._lease = replace(found, written=mine.written, removed=mine.removed, edition=mine.edition)
        return True


@dataclass(slots=True)
class Observation:
    """The last renewal of another holder that was seen, and when it was first seen here."""

    renewal: tuple[str | None, int] = (None, -1)
    since: float = 0.0

    def may_take(self, found: Lease, identity: str, now: float) -> bool:
        """Whether a Lease is free, is ours, was handed to us, or its holder has been silent for too long."""
        if found.holder is None or found.holder == identity:
            return True
        renewal = (found.holder, found.renewals)
        if renewal != self.renewal:
            self.renewal, self.since = renewal, now
        return now - self.since > DURATION


@dataclass(frozen=True, slots=True)
class _Edition:
    """An edition of what was written and removed, and when it was first seen here."""

    number: int
    since: float

    def is_old(self, now: float) -> bool:
        """Whether all that it tells was written so long ago that it need not be told any more."""
        return now - self.since > REMEMBERED


class LeaseLock:
    """Keeps the writers of one role apart, over all replicas. `identity` names this replica: unique for ever."""

    def __init__(self, store: LeaseStore, identity: str) -> None:
        self._store = store
        self._identity = identity
        self._turns: defaultdict[RoleArn, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: dict[RoleArn, _Edition] = {}

    @asynccontextmanager
    async def hold(self, role: RoleArn, seen: Seen, waits_since: WaitsSince) -> AsyncIterator[LeaseHold]:
        """Wait for the role's lock and hold it inside the `async with`. Raises LockError."""
        async with self._turns[role]:
            try:
                hold = await self._acquire(role, seen, waits_since)
            except ClusterError as error:
                raise LockError(f"the lock of {role} could not be taken: {error}") from error
            try:
                yield hold
            finally:
                await hold.give_back()
                self._know(role, hold.stored_edition)

    async def _acquire(self, role: RoleArn, seen: Seen, waits_since: WaitsSince) -> LeaseHold:
        name = lease_name(role)
        observed = Observation()
        poll = _FIRST_POLL
        while True:
            now = asyncio.get_running_loop().time()
            found = await self._store.get(name)
            if found is not None and self._know(role, found.edition):
                seen(found.written, found.removed)
            if found is None:
                taken = await self._store.create(Lease(name, role.value, holder=self._identity, renewals=1))
            elif observed.may_take(found, self._identity, now):
                is_old = self._known[role].is_old(now)
                taken = await self._store.update(
                    replace(
                        found,
                        role=role.value,
                        holder=self._identity,
                        waiter=None if found.waiter == self._identity else found.waiter,
                        renewals=found.renewals + 1,
                        written={} if is_old else found.written,
                        removed={} if is_old else found.removed,
                    )
                )
            else:
                taken = None
                if found.waiter is None and now - waits_since() > _PATIENCE:
                    await self._store.update(replace(found, waiter=self._identity))
            if taken is not None:
                return LeaseHold(self._store, taken, now + DURATION)
            await asyncio.sleep(poll * random.uniform(0.5, 1.5))  # noqa: S311
            poll = min(2 * poll, _LONGEST_POLL)

    def _know(self, role: RoleArn, edition: int) -> bool:
        """Note an edition of what was written and removed; answers whether it is news."""
        if role in self._known and self._known[role].number == edition:
            return False
        self._known[role] = _Edition(edition, asyncio.get_running_loop().time())
        return True
