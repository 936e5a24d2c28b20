"""Leases in the API server, as locks between replicas: how one is acquired, renewed and released.

A Lease promises, while every holder's clock runs at a normal rate:

- One replica at a time believes that it holds the Lease.
- A holder that dies is replaced. That is DURATION after a waiting replica first saw its last renewal.

A Lease does not promise fencing. A holder that is stalled between its last look at the clock and its write can
still send that write late. Other clusters know nothing of this lock. The pass over the whole cluster repairs what
slips through.

Expiry is counted from the first local observation of a renewal, as in client-go's leader election. So clocks of
different machines are never compared.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from webhook.model.names import Subject
    from webhook.runtime.clock import Clock

DURATION = 10.0
"""Seconds that any Lease is held without renewal: those of the roles, and the leader's."""

DIGEST_LENGTH = 16

_TRIES = 5
"""How often a held Lease that changes before each write is written again at once; then its holder pauses."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it is read and written; `version` is the API server's, for compare-and-swap."""

    name: str
    role: str
    holder: str | None = None
    waiter: str | None = None
    renewals: int = 0
    """Counts acquisitions and renewals from a random number on, so that an observer sees each."""
    written: Mapping[Subject, float] = field(default_factory=dict)
    """Subjects written to the role in the last minute, and how many seconds before this was stored."""
    removed: Mapping[Subject, float] = field(default_factory=dict)
    """Subjects removed from the role, likewise. A subject that was written later is not among them."""
    edition: int = 0
    """The `renewals` before the one that stored `written` and `removed`. One of the same edition has no news."""
    removals: tuple[tuple[float, int], ...] = ()
    """Of the leader's Lease: removals within the hour, as seconds before this was stored, and how many."""
    removing: tuple[str, ...] = ()
    """Of the leader's Lease: the digests of what it is about to remove, counted among the removals already."""
    repairs: tuple[int, ...] = ()
    """When the managed statement was repaired, in Unix seconds: the last times, for people's commands only."""
    witnessed: tuple[str, ...] = ()
    """Of the leader's Lease: the digests of what it removes without counting. For people's plans only: a hint."""
    version: str = ""


class LeaseStore(Protocol):
    """Leases in the API server. All raise ClusterError."""

    async def get(self, name: str) -> Lease | None:
        """The Lease, or None where there is none."""

    async def create(self, lease: Lease) -> Lease | None:
        """Create it; None where there is one already."""

    async def update(self, lease: Lease) -> Lease | None:
        """Replace the version that `lease` was read as; None where it has changed since."""


def digest(text: str) -> str:
    """A short name for a long text: hexadecimal digits, as many as `DIGEST_LENGTH`."""
    return sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


@dataclass(slots=True)
class Observation:
    """The last renewal of another holder that was seen, and when it was first seen here."""

    renewal: tuple[str | None, int] = (None, -1)
    since: float = 0.0

    def observe(self, found: Lease, now: float) -> None:
        """Take note of a Lease as it was read."""
        renewal = (found.holder, found.renewals)
        if renewal != self.renewal:
            self.renewal, self.since = renewal, now

    def may_acquire(self, found: Lease, identity: str | None, now: float) -> bool:
        """Whether a Lease is free, is ours or was handed to us, or its holder has not renewed it for too long."""
        return found.holder in {None, identity} or now - self.since > DURATION


class HeldLease:
    """A Lease that this replica holds, until `until` on `clock` unless it renews."""

    def __init__(self, store: LeaseStore, lease: Lease, until: float, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.lease = lease
        self.until = until

    def outlasts(self, seconds: float) -> bool:
        """Whether it is held for that much longer, by our own clock. May be asked in any thread."""
        return self._clock() + seconds < self.until

    async def store(self, change: Callable[[Lease], Lease | None]) -> bool:
        """Renew it, changed by `change`. False where another replica holds it, or `change` answers None.

        An external edit, or a renewal whose answer was lost, does not end the holding. Raises ClusterError, also
        where an edit comes before each write.
        """
        for _ in range(_TRIES):
            if (changed := change(self.lease)) is None:
                return False
            asked = self._clock()
            stored = await self._store.update(replace(changed, renewals=self.lease.renewals + 1))
            if stored is not None:
                self.until = asked + DURATION if stored.holder == self.lease.holder else float("-inf")
                self.lease = stored
                return True
            found = await self._store.get(self.lease.name)
            if found is None or found.holder != self.lease.holder:
                return False
            self.lease = found
        raise ClusterError(f"Lease {self.lease.name} was changed before each of {_TRIES} writes")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that wants a Lease: the one way in which role locks and leadership are acquired."""

    store: LeaseStore
    wanted: Lease
    """What is created where there is none; its holder is this replica."""
    clock: Clock
    on_read: Callable[[Lease], Lease] = lambda found: found
    """Called with each Lease that is read; answers what it keeps where it is acquired then."""
    while_held: Callable[[Lease], Awaitable[None]] | None = None
    """Called with each Lease that is read while another replica holds it."""
    step: Callable[[], AbstractContextManager[None]] = nullcontext
    """What each try happens in."""

    async def acquire(self, pauses: Iterator[float]) -> HeldLease:
        """Wait until the Lease is free, or was not renewed for too long, and hold it. Raises ClusterError.

        `pauses` are the seconds from one try to the next.
        """
        observed = Observation()
        while True:
            with self.step():
                held = await self._try_acquire(observed)
            if held is not None:
                return held
            await asyncio.sleep(next(pauses))

    async def _try_acquire(self, observed: Observation) -> HeldLease | None:
        mine = self.wanted
        found = await self.store.get(mine.name)
        now = self.clock()  # not before: what a slow read shows may have been stored in the meantime
        if found is None:
            # Not from 1: a recreated Lease would repeat the numbers that others have seen.
            acquired = await self.store.create(replace(mine, renewals=random.getrandbits(32)))
        else:
            kept = self.on_read(found)
            observed.observe(found, now)
            if not observed.may_acquire(found, mine.holder, now):
                if self.while_held:
                    await self.while_held(found)
                return None
            waiter = None if found.waiter == mine.holder else found.waiter
            acquired = await self.store.update(
                replace(kept, role=mine.role, holder=mine.holder, waiter=waiter, renewals=found.renewals + 1)
            )
        return HeldLease(self.store, acquired, now + DURATION, self.clock) if acquired else None
