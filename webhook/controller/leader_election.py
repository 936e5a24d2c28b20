"""One leader among the replicas: it alone removes trust, makes associations and looks after pods.

`coordination.leases` says what a Lease promises and what not. A leader that hangs for longer than its Lease lasts
may finish a step late. Two checks make that harmless: what it removes is judged again at the write, and each
removal is recorded in the Lease first, which fails where another replica holds it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.leases import Candidate, Lease, digest
from webhook.model.errors import ClusterError
from webhook.model.removal import HOUR
from webhook.runtime.clock import loop_clock
from webhook.runtime.supervision import supervise
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from webhook.controller.binding_conflicts import BindingConflicts
    from webhook.controller.pruner import Pruner
    from webhook.controller.remediation.pods import PodsWithoutIdentity
    from webhook.coordination.leases import HeldLease, LeaseStore
    from webhook.runtime.clock import Clock

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
    return f"mxp-identity-leader-{digest(installation)}"


class NotLeadingError(ClusterError):
    """Another replica leads now, or that cannot be found out."""


class Leadership:
    """One replica's time as the leader, and what it and the leaders before it have removed within the hour."""

    def __init__(self, held: HeldLease, clock: Clock) -> None:
        self._held = held
        self._clock = clock
        self._turn = asyncio.Lock()
        self.began = now = clock()
        self._removals = [(now - ago, count) for ago, count in held.lease.removals]
        self._unfinished = held.lease.removing
        self.removing: tuple[str, ...] = ()
        """The digests of what is to be removed and counted, and is still there. The next renewal stores them."""
        self.witnessed: tuple[str, ...] = ()
        """The digests of what it removes without counting: a hint for plans. The next renewal stores them."""

    @property
    def holds(self) -> bool:
        """Whether this replica leads, by its own clock."""
        return self._held.outlasts(0)

    @property
    def until(self) -> float:
        """When this replica leads no longer, on the event loop's clock, unless it renews."""
        return self._held.until

    def removed_within_the_hour(self) -> int:
        """How many subjects leaders have removed within the hour."""
        return sum(count for _, count in self._young_removals())

    def adopt(self, unused: Collection[str]) -> None:
        """Take back from the count what the leader before was about to remove and did not remove.

        `unused` are the digests of all that is trusted and unused. The reads behind it are young enough to show
        what that leader wrote.
        """
        left, self._unfinished = len(set(self._unfinished).intersection(unused)), ()
        kept = []
        for at, count in reversed(self._removals):
            back = min(left, count)
            left -= back
            kept.append((at, count - back))
        self._removals = [(at, count) for at, count in reversed(kept) if count]

    async def record_removals(self, new: int, removing: Collection[str] = ()) -> None:
        """Record that `new` more are about to be removed and count against the limit; `new` may be 0.

        `removing` are the digests of all that count and are pending. Raises NotLeadingError where the Lease cannot
        be written: then nothing is removed.
        """
        now, count = self._clock(), new
        before = list(self._removals), self.removing
        self.removing = tuple(removing)
        if new:
            if self._removals and now - self._removals[-1][0] < _COUNTED_TOGETHER:
                count += self._removals.pop()[1]
            self._removals.append((now, count))
        try:
            noted = await self.renew()
        except ClusterError as error:
            self._removals, self.removing = before  # nothing is removed: these must not use up the hour's limit
            raise NotLeadingError(
                f"removals could not be noted in Lease {self._held.lease.name}: {error}"
            ) from error
        if not noted:
            raise NotLeadingError("another replica leads now")

    async def renew(self) -> bool:
        """Go on leading; False where another replica leads. Raises ClusterError."""
        async with self._turn:
            return await self._held.store(self._with_removals)

    async def release(self) -> None:
        """Let another replica lead at once. Raises ClusterError."""
        async with self._turn:
            await self._held.store(lambda lease: replace(self._with_removals(lease), holder=None))

    def _with_removals(self, lease: Lease) -> Lease:
        now = self._clock()
        return replace(
            lease,
            removals=tuple((now - at, count) for at, count in self._young_removals()),
            removing=tuple(dict.fromkeys([*self.removing, *self._unfinished])),
            witnessed=self.witnessed,
        )

    def _young_removals(self) -> list[tuple[float, int]]:
        now = self._clock()
        self._removals = [(at, count) for at, count in self._removals if at > now - HOUR]
        return self._removals


class LeaderElection:
    """Takes part in choosing the leader of an installation. `identity` names this replica: unique for ever."""

    def __init__(
        self,
        store: LeaseStore,
        installation: str,
        identity: str,
        progress: Progress | None = None,
    ) -> None:
        self._progress = progress or Progress()
        self._clock = loop_clock()
        mine = Lease(leader_lease(installation), "", holder=identity)
        self._candidate = Candidate(store, mine, self._clock, step=self._step)
        self._leadership: Leadership | None = None
        metrics.leading.set(0)

    def leads_since(self) -> float | None:
        """Since when this replica leads, on the event loop's clock; None where it does not."""
        return self._leadership.began if self._leadership and self._leadership.holds else None

    async def run(self, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        """Acquire the Lease, `lead` as long as it is held, and begin again, until cancelled."""
        while True:
            try:
                held = await self._candidate.acquire(_pauses())
            except ClusterError as error:
                log.warning("leader_not_known", reason=str(error))
                await asyncio.sleep(next(_pauses()))
                continue
            log.info("leading")
            metrics.leading.set(1)
            self._leadership = leadership = Leadership(held, self._clock)
            try:
                await self._lead(leadership, lead)
            finally:
                self._leadership = None
                metrics.leading.set(0)
            log.warning("leading_no_longer")
            await asyncio.sleep(next(_pauses()))

    async def _lead(self, leadership: Leadership, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead(leadership))
        try:
            try:
                while await self._wait_and_renew(leadership, work):
                    pass
            finally:
                await _stop(work)
        except (Exception, asyncio.CancelledError):
            await self._release(leadership)
            raise

    async def _wait_and_renew(self, leadership: Leadership, work: asyncio.Future[None]) -> bool:
        """Wait, and renew. False once leading is over: it ends with the Lease, even while an answer is awaited."""
        left = leadership.until - self._clock()
        await asyncio.wait([work], timeout=min(_RENEWAL_SECONDS, max(left, 0)))
        if work.done():
            return False
        try:
            with self._step():
                async with asyncio.timeout_at(leadership.until):
                    return await leadership.renew()
        except (ClusterError, TimeoutError) as error:
            log.warning("lead_not_renewed", reason=str(error) or "no answer before the Lease ended")
            return leadership.holds

    def _step(self) -> AbstractContextManager[None]:
        return self._progress.step("leadership", _LONGEST_STEP)

    async def _release(self, leadership: Leadership) -> None:
        try:
            await leadership.release()
        except ClusterError as error:
            log.warning("lead_not_released", reason=str(error))


def _pauses() -> Iterator[float]:
    while True:
        yield random.uniform(*_POLL)  # noqa: S311


async def _stop(work: asyncio.Future[None]) -> None:
    work.cancel()
    (ended,) = await asyncio.gather(work, return_exceptions=True)
    if isinstance(ended, Exception):
        log.error("leader_failed", exc_info=ended)
        metrics.unexpected_errors.labels("leader").inc()


@dataclass(frozen=True, slots=True)
class Leader:
    """What the leader does, side by side, for as long as it leads."""

    pruner: Pruner
    conflicts: BindingConflicts
    pods: PodsWithoutIdentity
    remediation: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
    """What is done for Deployments, each until cancelled."""
    interval: float
    """Seconds between rounds."""
    take_over: Callable[[], None]
    """Starts at once what the leader before left open."""

    async def lead(self, leadership: Leadership) -> None:
        """Work until cancelled."""
        self.take_over()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise("pruner", lambda: self.pruner.run(leadership, self.interval)))
            tasks.create_task(supervise("binding_conflicts", lambda: self.conflicts.run(self.interval)))
            tasks.create_task(supervise("pods", lambda: self.pods.run(self.interval)))
            for name, loop in self.remediation.items():
                tasks.create_task(supervise(name, loop))
