"""The one writer of a role's trust policy in a replica: when it reads and writes, and what follows a failure.

`write_cycle` holds what a cycle does. The loop is `_run`: wait for a turn to call IAM, take the role's lock, run
one or more cycles, release the lock. Grants that come while a write is under way share the next cycle. So a lone
grant is written at once, and a burst of hundreds costs a few writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.lock import LockError
from webhook.iam.pending import PendingGrants
from webhook.iam.reasons import full, unexpected
from webhook.iam.write_cycle import WriteCycle
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import InvalidPolicyError
from webhook.model.outcomes import Untrusted
from webhook.runtime.clock import pause_after, wait_for
from webhook.runtime.rate_limiter import RateLimiter
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.coordination.lock import RoleLock
    from webhook.iam.pending import PendingGrant
    from webhook.iam.policy_cache import PolicyCache
    from webhook.iam.ports import DesiredSubjects, TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import RoleArn, Subject

log = structlog.get_logger(__name__)

GATHERING = 0.3
"""Seconds of a pause in which grants gather, to share the next write. Without it IAM throttles six roles under a
burst.

It follows a write of several subjects by any replica. Where no grant waits, it follows each read by this replica.
"""

_LONGEST_WAIT = 1.0
"""Seconds that the lock may be held while a cycle waits for its turn. For a longer wait it is left to others."""

_SHORTEST_PAUSE = 1e-3
"""Seconds: the rest of a pause may be too short for the clock."""

_LONGEST_CYCLE = 900.0
"""Seconds: far longer than the four calls of a cycle, of some seconds each, take together."""


def iam_limiter() -> RateLimiter:
    """The one limiter of all writers of a replica: their roles are of one account.

    A turn is a read, and the write that may follow it at once.
    """
    return RateLimiter("iam", rate=20.0, ceiling=100.0)


class RoleWriter:
    """Makes one role trust subjects, and EKS for the pods of its bindings.

    `cache` is the role's policy as far as it is known, `desired` what the cluster wants of it. `own_in` answers
    our statement in a role. It raises AwsError as long as the cluster is not known: then each try ends with that
    error before a call is made.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it reads, writes and asks
        self,
        cache: PolicyCache,
        own_in: Callable[[RoleArn], OwnStatement],
        policies: TrustPolicies,
        lock: RoleLock,
        desired: DesiredSubjects,
        progress: Progress | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.role = cache.role
        self.cache = cache
        self._own_in = own_in
        self._lock = lock
        self._clock = cache.clock
        self._pending: PendingGrants[Subject] = PendingGrants(self._clock)
        self._pending_for_pods: PendingGrants[RoleArn] = PendingGrants(self._clock)
        self._cycle = WriteCycle(cache, policies, desired, self._pending, self._pending_for_pods)
        self._progress = progress or Progress()
        self._limiter = limiter or iam_limiter()
        self._turn: float | None = None
        self._failures = 0
        self.trouble: Untrusted | None = None
        """What went wrong at the last try; None where it went well, or was not tried."""
        self._listeners: set[Callable[[Untrusted], None]] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._waits_for_lock = False
        self._task: asyncio.Task[None] | None = None

    @property
    def subjects(self) -> frozenset[Subject]:
        """The subjects of our statement, as last read or written; none before the first read."""
        return self.cache.subjects

    @property
    def needs_a_person(self) -> bool:
        """Whether the role cannot be read or written until a person does something."""
        return self.trouble is not None and self.trouble.kind.needs_a_person

    @property
    def lacks_room(self) -> bool:
        """Whether no more fit, or one that asked at the last read did not."""
        return self.cache.is_full or self.cache.refused_for_room

    def has_room_for(self, subject: Subject) -> bool:
        """Whether `subject` fits beside all pending grants, by what is known; an unread policy has room."""
        return self.cache.has_room_for(subject, self._pending)

    # Asking for trust

    def submit(self, subject: Subject) -> PendingGrant:
        """Have `subject` trusted; all that ask for the same subject share one pending grant.

        While the role is in trouble the grant has failed from the start.
        """
        self._start()
        self._cycle.removals.defer(subject, self._clock())
        return self._pending.of(subject, self.trouble)

    def submit_pods(self) -> PendingGrant:
        """Have EKS allowed for the pods of its bindings; all that ask share one pending grant."""
        self._start()
        return self._pending_for_pods.of(self.role, self.trouble)

    def withdraw(self, subject: Subject, reason: str) -> None:
        """Ask for `subject` no longer, unless it is in a write under way: its grant settles as WITHDRAWN."""
        self._pending.withdraw(subject, Untrusted(self.role, FailureKind.WITHDRAWN, reason))

    def approve_removals(self, subjects: Collection[Subject]) -> None:
        """Remove these from our statement as long as they are unused; the next call replaces them all."""
        self._cycle.removals.approve(subjects, self._pending.keys, self._clock())
        if not self.subjects.isdisjoint(subjects):
            self.enqueue()

    def defer_removal(self, subject: Subject) -> None:
        """A review relies on `subject` being trusted: an approved removal waits for a minute."""
        self._cycle.removals.defer(subject, self._clock())

    def enqueue(self) -> None:
        """Read the policy again soon, and repair our statement if it is not what the cluster wants."""
        self._cycle.to_read_again = True
        self._start()

    async def wait_until_synced(self, on_failure: Callable[[Untrusted], None] | None = None) -> None:
        """Wait until the policy has been read once, or only a person can make it readable.

        Where that is so already, it does not wait. `on_failure` is called with each failure until then.
        """
        if self.cache.synced.is_set():
            return
        self.enqueue()
        if on_failure:
            self._listeners.add(on_failure)
            if self.trouble:
                on_failure(self.trouble)
        try:
            await self.cache.synced.wait()
        finally:
            if on_failure:
                self._listeners.discard(on_failure)

    async def close(self) -> None:
        """Start no further cycle and wait for the one under way, so that no write is cut off."""
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        if self._waits_for_lock:
            self._task.cancel()
        await asyncio.wait([self._task])

    # The loop

    def _start(self) -> None:
        if not self._failures:
            self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"writer {self.role.value}")

    async def _run(self) -> None:
        while self._has_work:
            self._wake.clear()
            try:
                self._reserve_turn()
                pause = self._seconds_to_lock()
                if not pause:
                    pause = await self._hold_and_work()
            except Exception as error:
                log.exception("trust_writer_failed", role_arn=self.role.value)
                metrics.unexpected_errors.labels("trust_writer").inc()
                pause = self._failed(unexpected(error))
            if pause and not self._closing:
                await wait_for(self._wake, max(pause, _SHORTEST_PAUSE))

    @property
    def _has_work(self) -> bool:
        return (
            bool(self._pending.keys or self._pending_for_pods.keys or self._cycle.to_read_again)
            and not self._closing
        )

    def _reserve_turn(self) -> None:
        """Reserve the next cycle's turn to call IAM, where none is reserved yet."""
        if self._turn is None:
            self._turn = self._limiter.reserve()

    def _seconds_to_turn(self) -> float:
        """Seconds until the next cycle may begin: its turn has come, and enough grants have gathered."""
        begins, recent = self._turn or 0.0, self.cache.recent
        if not (self._pending.keys or self._pending_for_pods.keys):
            begins = max(begins, self.cache.read_at + GATHERING)  # no grant waits: reads keep their distance
        elif begins < recent.latest + GATHERING and recent.last_count > 1:
            begins = recent.latest + GATHERING  # a burst is under way: more grants come soon
        return max(begins - self._clock(), 0.0)

    def _seconds_to_lock(self) -> float:
        """Seconds until the lock is worth taking: until the turn, or 0 where a grant waits and that is soon."""
        seconds, is_awaited = self._seconds_to_turn(), self._pending.keys or self._pending_for_pods.keys
        return 0.0 if is_awaited and seconds <= _LONGEST_WAIT else seconds

    def _may_begin(self) -> bool:
        """Whether a cycle may begin now, or so soon that the lock is held until then."""
        return self._has_work and not self._seconds_to_lock()

    async def _hold_and_work(self) -> float:
        """Run one or more cycles under one lock; answers how many seconds to wait before the next."""
        try:
            own = self._own_in(self.role)  # raises while nothing may be written
            self._waits_for_lock, began = True, self._clock()
            async with self._lock.hold(
                self.role, self._cycle.learn_from_others, lambda: self._waits_since(began)
            ) as hold:
                self._waits_for_lock = False
                pause, goes_on = 0.0, self._may_begin()
                while goes_on:
                    await asyncio.sleep(self._seconds_to_turn())
                    self._turn = None
                    with self._progress.step("trust_writer", _LONGEST_CYCLE), self._limiter.heed():
                        pause = await self._cycle.run(hold, own)
                    self._failures, self.trouble = 0, None
                    if goes_on := self._has_work and not pause:
                        self._reserve_turn()
                        goes_on = self._may_begin() and await hold.renew()
                return pause
        except AwsError as error:
            return self._failed(error)
        except LockError as error:
            return self._failed(AwsError(FailureKind.UNAVAILABLE, str(error)))
        except InvalidPolicyError as error:
            return self._failed(AwsError(FailureKind.MALFORMED, str(error)))

    def _waits_since(self, began: float) -> float:
        """Since when the lock is needed, on the clock; infinity where nothing needs it any more."""
        if (oldest := self._pending.oldest) is not None:
            return oldest
        # No subject waits. What else is to be done counts from the call; others may have done all of it.
        return began if self._has_work else float("inf")

    def _failed(self, error: AwsError) -> float:
        """Report the error to all pending grants; answers the seconds until the next try, 0 where none follows."""
        failure = (
            full(self.role, self.cache.quota.characters)
            if error.kind is FailureKind.FULL
            else Untrusted(self.role, error.kind, str(error))
        )
        pause = 0.0 if failure.kind.is_final else self._backoff()
        log.warning(
            "trust_not_written",
            role_arn=self.role.value,
            outcome=error.kind.value,
            reason=str(error),
            pending=len(self._pending.keys),
            failures=self._failures,
            retry_in_s=round(pause, 2),
        )
        self.trouble = None if failure.kind is FailureKind.FULL else failure
        if self.needs_a_person or failure.kind.is_final:
            self.cache.synced.set()
        if failure.kind.is_final:
            self._cycle.to_read_again = False
        for on_failure in tuple(self._listeners):
            on_failure(failure)
        self._pending.fail(failure)
        self._pending_for_pods.fail(failure)
        return pause

    def _backoff(self) -> float:
        """Count a failure; answers the seconds until the next try, by `runtime.clock`."""
        self._failures += 1
        if not self._closing:
            self._wake.clear()  # a grant that comes while IAM fails waits for the next try, as all others do
        return pause_after(self._failures)
