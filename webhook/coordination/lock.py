"""A lock for each role over all replicas, kept in a Lease, which also names what was written and removed.

RoleLock and Hold are the ports. LeaseLock and RoleHold implement them by a Lease.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from webhook.coordination.leases import Candidate, Lease, digest
from webhook.model.errors import ClusterError
from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from webhook.coordination.leases import HeldLease, LeaseStore
    from webhook.model.names import RoleArn, Subject
    from webhook.runtime.clock import Clock

log = structlog.get_logger(__name__)

_FIRST_POLL, _LONGEST_POLL = 0.01, 0.1
"""Seconds until a Lease that another replica holds is read again, on average; twice as long each time.

The first are short, because a holder that has just answered its reviews is about to release it.
"""

_PATIENCE = 1.0
"""Seconds that a grant waits before its replica asks the holder for the lock.

Often the holder writes the same subject, and the grant needs no write of its own. From a holder that died the lock
is taken after `leases.DURATION`.
"""

_RETRY = 0.5
"""Seconds until the next try to store in the Lease what was written."""

REMEMBERED = 60.0
"""Seconds for which a write by any replica counts more than what a read shows: IAM's reads can be that old."""

MOST_REPAIRS = 20
"""Repairs of a role's managed statement whose times its Lease keeps; the newest."""

MOST_REPORTED = 2000
"""Subjects written, and as many removed, that are read from one Lease or wait to be confirmed; the newest."""

Learn = Callable[["Mapping[Subject, float]", "Mapping[Subject, float]"], None]
"""Takes in what others did to a role in the last minute: subjects written, and subjects removed.

Each comes with how many seconds ago it was.
"""

WaitsSince = Callable[[], float]
"""Answers since when, on the loop's clock, a grant waits for the lock; infinity where none does."""


class LockError(Exception):
    """A role's lock could not be acquired or kept; the message is the reason."""


class Hold(Protocol):
    """A role's lock, held."""

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Report to other replicas what was written and removed, and how many seconds ago.

        The Lease has it from the next renewal on, or from the release.
        """

    def record_repair(self) -> None:
        """Report to people that the managed statement was repaired now; stored with what is remembered next."""

    def outlasts(self, seconds: float) -> bool:
        """Whether the lock is held for that much longer: only then a write is sent. May be asked in any thread."""

    async def renew(self) -> bool:
        """Keep it for another cycle; False where another replica waits for it or has it. Raises LockError."""


class RoleLock(Protocol):
    """Keeps the writers of one role apart.

    It does not fence: a holder that is stalled for longer than its lock lasts can still send a write. The pass
    over the whole cluster repairs what slips through.
    """

    def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AbstractAsyncContextManager[Hold]:
        """Wait for the role's lock and hold it inside the `async with`. Raises LockError.

        While it waits, and once it holds the lock, it calls `learn` with what other holders wrote and removed. It
        asks the holder to hand the lock over only once a grant has waited for long, by `waits_since`.
        """


def lease_name(role: RoleArn) -> str:
    """The name of a role's Lease: an ARN is too long and has the wrong characters."""
    return f"mxp-identity-{digest(role.value)}"


class RoleHold:
    """The Hold of a LeaseLock: the role's HeldLease, and what it is to report of this replica's writes."""

    def __init__(self, held: HeldLease, unix_time: Clock = time.time) -> None:
        self._held = held
        self._unix_time = unix_time
        self._repairs = held.lease.repairs
        self._written, self._removed, self._edition = held.lease.written, held.lease.removed, held.lease.edition
        self.outlasts = held.outlasts

    @property
    def stored_edition(self) -> int:
        """The edition of what was written and removed that the API server has."""
        return self._held.lease.edition

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """As Hold promises."""
        self._written, self._removed, self._edition = written, removed, self._held.lease.renewals

    def record_repair(self) -> None:
        """As Hold promises."""
        self._repairs = (*self._repairs, int(self._unix_time()))[-MOST_REPAIRS:]

    async def renew(self) -> bool:
        """As Hold promises."""
        try:
            return await self._held.store(lambda lease: None if lease.waiter else self._with_news(lease))
        except ClusterError as error:
            raise LockError(f"the lock could not be renewed: {error}") from error

    async def release(self) -> None:
        """Release it: to the replica that asked for it, if one did.

        The release also stores what other replicas have to know of a write. As long as the API server lacks that,
        a release that fails is tried again, until the lock has run out.
        """
        while True:
            try:
                await self._held.store(self._released)
            except ClusterError as error:
                if self._edition == self.stored_edition or not self.outlasts(_RETRY):
                    log.warning("lock_not_released", role_arn=self._held.lease.role, reason=str(error))
                    return
            else:
                return
            await asyncio.sleep(_RETRY)

    def _with_news(self, lease: Lease) -> Lease:
        return replace(
            lease,
            written=self._written,
            removed=self._removed,
            edition=self._edition,
            repairs=self._repairs,
        )

    def _released(self, lease: Lease) -> Lease:
        return replace(self._with_news(lease), holder=lease.waiter, waiter=None)


@dataclass(frozen=True, slots=True)
class _Edition:
    """An edition of what was written and removed, and when it was first seen here."""

    number: int
    since: float


class LeaseLock:
    """The RoleLock of replicas that share an API server. `identity` names this one: unique for ever."""

    def __init__(self, store: LeaseStore, identity: str) -> None:
        self._store = store
        self._identity = identity
        self._clock = loop_clock()
        self._local_locks: defaultdict[RoleArn, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._editions: dict[RoleArn, _Edition] = {}

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[RoleHold]:
        """As RoleLock promises."""

        def learn_and_keep(found: Lease) -> Lease:
            """Learn what is news, and keep it in the Lease for a minute from when it was first seen here."""
            if self._record_edition(role, found.edition):
                learn(found.written, found.removed)
            is_old = self._clock() - self._editions[role].since > REMEMBERED
            return replace(found, written={}, removed={}) if is_old else found

        async def ask_for(found: Lease) -> None:
            """Ask the holder to hand the Lease over after its cycle, once a grant has waited for long."""
            if found.waiter is None and self._clock() - waits_since() > _PATIENCE:
                await self._store.update(replace(found, waiter=self._identity))

        mine = Lease(lease_name(role), role.value, holder=self._identity)
        candidate = Candidate(self._store, mine, self._clock, learn_and_keep, ask_for)
        async with self._local_locks[role]:
            try:
                held = await candidate.acquire(_pauses())
            except ClusterError as error:
                raise LockError(f"the lock of {role} could not be acquired: {error}") from error
            hold = RoleHold(held)
            try:
                yield hold
            finally:
                await hold.release()
                self._record_edition(role, hold.stored_edition)

    def _record_edition(self, role: RoleArn, edition: int) -> bool:
        """Note an edition of what was written and removed; answers whether it is news."""
        if role in self._editions and self._editions[role].number == edition:
            return False
        self._editions[role] = _Edition(edition, self._clock())
        return True


def _pauses() -> Iterator[float]:
    pause = _FIRST_POLL
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311
        pause = min(2 * pause, _LONGEST_POLL)
