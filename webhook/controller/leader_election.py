"""One leader among the replicas: it alone removes trust, makes associations and looks after pods.

What a Lease promises and does not is said in `trust.leases`. A leader that hangs for longer than its Lease lasts
may finish a step late; what it removes is judged again at the write, and each removal is recorded in the Lease
first, which fails where another replica has it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.leases import DURATION, Lease, Observation, mark
from webhook.model.errors import ClusterError
from webhook.model.removal import HOUR
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from webhook.coordination.leases import LeaseStore

log = structlog.get_logger(__name__)

_LONGEST_STEP = 120.0
"""Seconds of one try to take or renew the Lease: three calls of some seconds each."""

_RENEWAL_SECONDS = 3.0
_POLL = (1.0, 2.0)
_COUNTED_TOGETHER = 60.0
"""Seconds within which removals become one number, so that an hour of them fits into the Lease."""


def leader_lease(installation: str) -> str:
    """The name of the Lease by which the replicas of an installation choose their leader.

    Two installations in one namespace have one each. A name of an installation is too long and may have the wrong
    characters.
    """
    return f"mxp-identity-leader-{mark(installation)}"


class NotLeadingError(ClusterError):
    """Another replica leads by now, or nobody can tell."""


class Leadership:
    """The time for which one replica leads, and what it and those before it have removed within the hour."""

    def __init__(self, store: LeaseStore, lease: Lease, until: float) -> None:
        self._store = store
        self._lease = lease
        self._until = until
        self._turn = asyncio.Lock()
        self.began = now = asyncio.get_running_loop().time()
        self._removals = [(now - ago, count) for ago, count in lease.removals]
        self._unfinished = lease.leaving
        self.leaving: tuple[str, ...] = ()
        """The marks of what is to be removed and counted, and is still there, stored with the next renewal."""
        self.witnessed: tuple[str, ...] = ()
        """The marks of what it removes without counting, stored with the next renewal: a hint for plans."""

    @property
    def holds(self) -> bool:
        """Whether this replica leads, by its own clock."""
        return asyncio.get_running_loop().time() < self._until

    @property
    def until(self) -> float:
        """When this replica leads no longer, on the event loop's clock, unless it renews."""
        return self._until

    def removed_within_the_hour(self) -> int:
        """How many subjects leaders have removed within the hour."""
        return sum(count for _, count in self._young_removals())

    def take_up(self, unwanted: Collection[str]) -> None:
        """Count no longer as removed whom the leader before was about to remove, and who is still there.

        `unwanted` are the marks of all who are trusted and not wanted, by reads that show what that leader wrote.
        """
        left, self._unfinished = len(set(self._unfinished).intersection(unwanted)), ()
        kept = []
        for at, count in reversed(self._removals):
            back = min(left, count)
            left -= back
            kept.append((at, count - back))
        self._removals = [(at, count) for at, count in reversed(kept) if count]

    async def record_removals(self, new: int, leaving: Collection[str] = ()) -> None:
        """Note that `new` more are about to be removed that count; `leaving` marks all that count and are not yet.

        Raises NotLeadingError where that cannot be noted, so that nothing is removed; none need count.
        """
        now, count = asyncio.get_running_loop().time(), new
        before = list(self._removals), self.leaving
        self.leaving = tuple(leaving)
        if new:
            if self._removals and now - self._removals[-1][0] < _COUNTED_TOGETHER:
                count += self._removals.pop()[1]
            self._removals.append((now, count))
        try:
            noted = await self.renew()
        except ClusterError as error:
            self._removals, self.leaving = before  # nothing is removed: these must not use up the hour's limit
            raise NotLeadingError(f"removals could not be noted in Lease {self._lease.name}: {error}") from error
        if not noted:
            raise NotLeadingError("another replica leads by now")

    async def renew(self) -> bool:
        """Go on leading; False where another replica leads. Raises ClusterError."""
        return await self._store_as_held_by(self._lease.holder)

    async def give_back(self) -> None:
        """Let another replica lead at once. Raises ClusterError."""
        await self._store_as_held_by(None)

    async def _store_as_held_by(self, holder: str | None) -> bool:
        async with self._turn:
            while True:
                asked = asyncio.get_running_loop().time()
                removals = tuple((asked - at, count) for at, count in self._young_removals())
                mine = self._lease
                stored = await self._store.update(
                    replace(
                        mine,
                        holder=holder,
                        renewals=mine.renewals + 1,
                        removals=removals,
                        leaving=tuple(dict.fromkeys([*self.leaving, *self._unfinished])),
                        witnessed=self.witnessed,
                    )
                )
                if stored is not None:
                    self._lease, self._until = stored, asked + DURATION
                    return True
                found = await self._store.get(mine.name)
                if found is None or found.holder != mine.holder:
                    return False
                self._lease = found  # still ours: somebody has edited it, or the answer to our renewal was lost

    def _young_removals(self) -> list[tuple[float, int]]:
        now = asyncio.get_running_loop().time()
        self._removals = [(at, count) for at, count in self._removals if at > now - HOUR]
        return self._removals


class LeaderElection:
    """Takes part in choosing the leader of an installation. `identity` names this replica: unique for ever."""

    def __init__(
        self, store: LeaseStore, installation: str, identity: str, progress: Progress | None = None
    ) -> None:
        self._store = store
        self._name = leader_lease(installation)
        self._identity = identity
        self._progress = progress or Progress()
        self._term: Leadership | None = None
        metrics.leading.set(0)

    def leads_since(self) -> float | None:
        """Since when this replica leads, on the event loop's clock; None where it does not."""
        return self._term.began if self._term and self._term.holds else None

    async def run(self, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        """Wait to lead, `lead` as long as it lasts, and begin anew, until cancelled."""
        while True:
            try:
                term = await self._win()
            except ClusterError as error:
                log.warning("leader_not_known", reason=str(error))
                await asyncio.sleep(random.uniform(*_POLL))  # noqa: S311
                continue
            log.info("leading")
            metrics.leading.set(1)
            self._term = term
            try:
                await self._lead(term, lead)
            finally:
                self._term = None
                metrics.leading.set(0)
            log.warning("leading_no_longer")
            await asyncio.sleep(random.uniform(*_POLL))  # noqa: S311

    async def _win(self) -> Leadership:
        """Wait until the Lease is free or its holder silent for too long, and take it. Raises ClusterError."""
        observed = Observation()
        while True:
            now = asyncio.get_running_loop().time()
            with self._progress.step("leadership", _LONGEST_STEP):
                taken = await self._try_to_take(observed, now)
            if taken is not None:
                return Leadership(self._store, taken, now + DURATION)
            await asyncio.sleep(random.uniform(*_POLL))  # noqa: S311

    async def _try_to_take(self, observed: Observation, now: float) -> Lease | None:
        found = await self._store.get(self._name)
        if found is None:
            return await self._store.create(Lease(self._name, "", holder=self._identity, renewals=1))
        if not observed.may_take(found, self._identity, now):
            return None
        return await self._store.update(
            replace(found, holder=self._identity, waiter=None, renewals=found.renewals + 1)
        )

    async def _lead(self, term: Leadership, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead(term))
        try:
            try:
                while await self._goes_on(term, work):
                    pass
            finally:
                await _stop(work)
        except (Exception, asyncio.CancelledError):
            await self._give_back(term)
            raise

    async def _goes_on(self, term: Leadership, work: asyncio.Future[None]) -> bool:
        """Wait, and renew; False once leading is over, which it is with the Lease, however slow an answer."""
        left = term.until - asyncio.get_running_loop().time()
        await asyncio.wait([work], timeout=min(_RENEWAL_SECONDS, max(left, 0)))
        if work.done():
            return False
        try:
            with self._progress.step("leadership", _LONGEST_STEP):
                async with asyncio.timeout_at(term.until):
                    return await term.renew()
        except (ClusterError, TimeoutError) as error:
            log.warning("lead_not_renewed", reason=str(error) or "no answer before the Lease ended")
            return term.holds

    async def _give_back(self, term: Leadership) -> None:
        try:
            await term.give_back()
        except ClusterError as error:
            log.warning("lead_not_given_back", reason=str(error))


async def _stop(work: asyncio.Future[None]) -> None:
    work.cancel()
    (ended,) = await asyncio.gather(work, return_exceptions=True)
    if isinstance(ended, Exception):
        log.error("leader_failed", exc_info=ended)
        metrics.unexpected_errors.labels("leader").inc()
