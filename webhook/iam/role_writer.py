"""The one writer of a role's trust policy: reads, adds our subjects, writes, and shares the write.

While one write is under way new grants collect; the next cycle takes them all. So a role that is written now and
then answers at once, and a burst of hundreds costs a few writes.
"""

from __future__ import annotations

import asyncio
from functools import cached_property, partial
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.lock import LockError
from webhook.coordination.pending_removals import PendingRemovals
from webhook.coordination.recent_writes import RecentWrites
from webhook.iam.amendment import Amendment, amend, room
from webhook.iam.effective_quota import Ceiling
from webhook.iam.external import ExternalStatements
from webhook.iam.gauges import PolicyGauges
from webhook.iam.pending_grants import PendingGrants
from webhook.iam.pod_trust import PodTrust
from webhook.iam.policy_cache import KnownTrust
from webhook.iam.prospects import Prospects
from webhook.iam.reasons import NOT_CERTAIN, full, outcome_of, unexpected, with_dangling_principals
from webhook.iam.stale_reads import DifferingReads
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import InvalidPolicyError
from webhook.model.outcomes import Trusted, TrustSource, Untrusted
from webhook.runtime.backoff import pause_after
from webhook.runtime.rate_limiter import RateLimiter
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from webhook.coordination.lock import Hold, RoleLock
    from webhook.iam.ports import Demand, TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.runtime.pending_grant import PendingGrant

log = structlog.get_logger(__name__)

GATHERING = 0.3
"""Seconds from a write of several subjects, by any replica, until the role is read again: who comes meanwhile
shares the next write. Without it IAM throttles six roles under a burst.

A look that no grant waits for comes as long after this replica's last: a grant that comes meanwhile shares it.
"""

_LONGEST_WAIT = 1.0
"""Seconds for which a cycle may be waited for under the lock; for longer, other replicas may have it."""

_SHORTEST_PAUSE = 1e-3
"""Seconds: what is left of a pause may be less than a clock can tell."""

_FULL_FOR = 120.0
"""Seconds for which a full role is taken to be full by those who may have another: each pass looks again."""

_HELD_BACK = 2.0
"""Seconds until those are looked at again who may not be written while the watch is out of touch."""

WRITE_TIME = 4.0
"""Seconds that a write can take once it is sent (connect 1 s, read 3 s): the lock must outlast it."""

_YIELD_EVERY = 50
"""Subjects weighed before the loop may answer reviews again."""

_LONGEST_CYCLE = 900.0
"""Seconds: four calls of some seconds each, far longer than all of them together."""


def iam_limiter() -> RateLimiter:
    """The one limiter of all writers of a replica, whose roles are of one account.

    A turn is a read, and the write that may follow it at once.
    """
    return RateLimiter("iam", rate=20.0, ceiling=100.0)


class RoleWriter:
    """Makes one role trust subjects. It adds, and takes away only whom `leave` names.

    What is written is (read + wanted + waiting + written in the last minute - leaving - removed in the last
    minute), whichever replica wrote and removed. So a stale read neither drops a subject nor brings one back. What
    another replica did is heard of through a Lease. A write is believed of a subject that the cluster may want, a
    removal of one that it does not want, and that is never the reason for a write of ours.

    `own_in` answers our statement in a role. Where it raises AwsError, as long as the cluster is not known, each
    try ends with that error before a call is made.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it reads, writes and asks
        self,
        role: RoleArn,
        own_in: Callable[[RoleArn], OwnStatement],
        policies: TrustPolicies,
        lock: RoleLock,
        demand: Demand,
        progress: Progress | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.role = role
        self._own_in = own_in
        self._policies = policies
        self._lock = lock
        self._demand = demand
        self._tickets = PendingGrants(role)
        self._prospects = Prospects(lambda: self._own, self._tickets)
        self._recent_writes = RecentWrites(partial(demand.may_want, role), partial(demand.seems_unused, role))
        self._departures = PendingRemovals(partial(demand.may_leave, role))
        self._gauges = PolicyGauges(role)
        self._known = KnownTrust(role, lambda: self._own)
        self._ceiling = Ceiling()
        self._external: ExternalStatements | None = None
        self._refused_for_room = False
        self._to_confirm = False
        self._differing = DifferingReads()
        self._failures = 0
        self._trouble: Untrusted | None = None
        self._pods = PodTrust(role, lambda: self._own)
        self._progress = progress or Progress()
        self._limiter = limiter or iam_limiter()
        self._turn: float | None = None
        self._looked = asyncio.Event()
        self._hearers: set[Callable[[Untrusted], None] | None] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._waits_for_lock = False
        self._task: asyncio.Task[None] | None = None

    @cached_property
    def _own(self) -> OwnStatement:
        """Our statement, as it was when a cycle first asked for it."""
        return self._own_in(self.role)

    # What is known without asking AWS

    def trusts(self, subject: Subject) -> Trusted | None:
        """How the role is known to trust `subject`, or None; no call is made.

        None too where a write that removes it was sent and not answered: who asks then waits for the next one.
        """
        trust = self._known.trust(subject)
        if trust and self._recent_writes.is_being_removed(subject, asyncio.get_running_loop().time()):
            return None
        return trust

    @property
    def subjects(self) -> frozenset[Subject]:
        """Who is in our statement, as last read or written; nobody before the first look."""
        return self._known.subjects

    @property
    def read_at(self) -> float:
        """When, on the loop's clock, the policy was last read or written; minus infinity before the first look."""
        return self._known.read_at

    @property
    def has_looked(self) -> bool:
        """Whether the policy has been read, or only a person can make it readable or writable."""
        return self._looked.is_set()

    @property
    def trouble(self) -> Untrusted | None:
        """What went wrong at the last try; None where it went well, or was not tried."""
        return self._trouble

    @property
    def needs_a_person(self) -> bool:
        """Whether the role cannot be read or written for a reason that patience does not mend."""
        return self._trouble is not None and self._trouble.kind.needs_a_person

    def has_room_for(self, subject: Subject) -> bool:
        """Whether `subject` fits beside those who wait, by what is known; an unread policy has room."""
        if self._known.policy is None:
            return True
        characters = self._ceiling.characters
        return self._prospects.has_room_for(
            subject, self._known.policy, self._recent(), characters, self._external
        )

    @property
    def was_full_lately(self) -> bool:
        """Whether no more fit, by a young look and what was written since.

        Who waits does not count: replicas hear of a namespace at different moments, and would choose differently.
        """
        if asyncio.get_running_loop().time() - self.read_at > _FULL_FOR:
            return False
        room, recent = self._known.room, self._recent()
        return room <= len(recent) and room <= len(recent - self._known.subjects)

    @property
    def lacks_room(self) -> bool:
        """Whether no more fit, or one that asked at the last look did not."""
        return self.was_full_lately or self._refused_for_room

    @property
    def lets_pods_in(self) -> TrustSource | None:
        """How EKS is known to be let in for the pods of its bindings, or None; no call is made."""
        return self._pods.proof

    def doubt_of_pods(self, binding: str, namespace: str) -> str:
        """What may keep EKS from assuming the role for pods there, in a sentence; empty for nothing."""
        return self._known.doubt_of_pods(binding, namespace)

    # Asking for trust

    def submit(self, subject: Subject) -> PendingGrant:
        """Have `subject` trusted; those who ask for the same subject share one ticket.

        While the role is in trouble the ticket says so from the start.
        """
        ticket = self._tickets.of(subject)
        self.asks(subject)
        if self._trouble:
            ticket.fail(self._trouble)
        self._start()
        return ticket

    def asks(self, subject: Subject) -> None:
        """A review relies on `subject` being trusted: an approved removal waits for a minute."""
        self._departures.asks(subject, asyncio.get_running_loop().time())

    def submit_pods(self) -> PendingGrant:
        """Have EKS let in for the pods of its bindings; all who ask share one ticket."""
        ticket = self._pods.wait()
        if self._trouble:
            ticket.fail(self._trouble)
        self._start()
        return ticket

    def withdraw(self, subject: Subject, reason: str) -> None:
        """Ask for `subject` no longer, unless it is in a write under way: its ticket settles as WITHDRAWN."""
        self._tickets.withdraw(subject, reason)

    def leave(self, subjects: Collection[Subject]) -> None:
        """Have exactly these leave our statement, as long as nobody wants them, until this is called again."""
        self._departures.approve(subjects, self._tickets.subjects, asyncio.get_running_loop().time())
        if not self.subjects.isdisjoint(subjects):
            self.check()

    async def first_look(self, hear: Callable[[Untrusted], None] | None = None) -> None:
        """Wait until the policy has been read once, or only a person can make it readable.

        At once if that was so before. `hear` is called with each failure until then.
        """
        if self.has_looked:
            return
        self.check()
        if hear:
            self._hearers.add(hear)
            if self._trouble:
                hear(self._trouble)
        try:
            await self._looked.wait()
        finally:
            self._hearers.discard(hear)

    def check(self) -> None:
        """Read the policy again soon, and put our statement right if it is not what the cluster wants."""
        self._to_confirm = True
        self._start()

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
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"writer {self.role.name}")

    async def _run(self) -> None:
        while self._has_work:
            self._wake.clear()
            try:
                pause = self._rest() or await self._hold_and_work()
            except Exception as error:
                log.exception("trust_writer_failed", role_arn=self.role.value)
                metrics.unexpected_errors.labels("trust_writer").inc()
                pause = self._failed(unexpected(error))
            if pause and not self._closing:
                await self._sleep(pause)

    @property
    def _has_work(self) -> bool:
        return (self._is_awaited or self._to_confirm) and not self._closing

    @property
    def _is_awaited(self) -> bool:
        return bool(self._tickets.subjects or self._pods.awaited)

    def _next_turn(self) -> float:
        """Take a turn to call IAM unless there is one already; answers the seconds until a cycle may begin."""
        if self._turn is None:
            self._turn = self._limiter.reserve()
        begins = self._turn
        if not self._is_awaited:
            begins = max(begins, self.read_at + GATHERING)
        elif self._recent_writes.last_count > 1:
            begins = max(begins, self._recent_writes.latest + GATHERING)
        return max(begins - asyncio.get_running_loop().time(), 0.0)

    def _rest(self) -> float:
        """The same, where the lock is of no use until then; 0 where a grant waits and it is not long."""
        seconds = self._next_turn()
        return 0.0 if self._is_awaited and seconds <= _LONGEST_WAIT else seconds

    async def _hold_and_work(self) -> float:
        """One or more cycles under one lock; answers how many seconds to wait before the next."""
        try:
            self._own_in(self.role)  # raises while nothing may be written
            self._waits_for_lock, began = True, asyncio.get_running_loop().time()
            async with self._lock.hold(
                self.role, self._learn_from_others, lambda: self._waits_since(began)
            ) as hold:
                self._waits_for_lock = False
                pause = 0.0
                mine = self._has_work and not self._rest()
                while mine:
                    await asyncio.sleep(self._next_turn())
                    self._turn = None
                    with self._progress.step("trust_writer", _LONGEST_CYCLE), self._limiter.heed():
                        pause = await self._cycle(hold)
                    self._failures, self._trouble = 0, None
                    mine = self._has_work and not (pause or self._rest()) and await hold.again()
                return pause
        except AwsError as error:
            return self._failed(error)
        except LockError as error:
            return self._failed(AwsError(FailureKind.UNAVAILABLE, str(error)))
        except InvalidPolicyError as error:
            return self._failed(AwsError(FailureKind.MALFORMED, str(error)))

    def _waits_since(self, began: float) -> float:
        if (oldest := self._tickets.oldest) is not None:
            return oldest
        return began if self._has_work else float("inf")  # others may have written all who waited

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, _SHORTEST_PAUSE)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _cycle(self, hold: Hold) -> float:
        """Read, amend, write; answers how many seconds to wait before the next cycle."""
        self._own_in(self.role)  # what was waited for may have taken long
        self._ceiling.answered(await self._policies.quota())
        policy = await self._policies.read(self.role)  # the last call before a write: IAM's window stays small
        await self._weigh(policy)
        self._believe()
        self._forget_others()
        batch = [one for one in self._tickets.subjects if self._may_write(one)]
        leaving = self._departures.leaving(self._tickets.subjects, asyncio.get_running_loop().time())
        self._recent_writes.read(policy.subjects(self._own))
        amendment = self._amend(policy, batch, leaving)
        removed = policy.subjects(self._own) & leaving
        if max(policy.size(), self._ceiling.characters) < amendment.policy.size():
            # Others have filled the room of subjects that we keep: without them nothing may be written.
            raise AwsError(FailureKind.FULL, f"{amendment.policy.size()} characters of {self._ceiling.characters}")
        pause = 0.0
        if amendment.policy.same_meaning(policy):
            self._to_confirm = False
            self._differing.settle()
        elif (
            not (amendment.adds_someone or removed - self._removed_lately() or self._pods.lacking(policy))
            and self._may_be_stale()
            and not self._is_edit(policy)
        ):
            # Nobody comes or goes, yet the read is not what we wrote: sooner an old answer than somebody's edit.
            self._to_confirm = True
            pause = self._differing.pause
        else:
            if gone := self._removed_by_others(policy) - leaving:
                amendment = self._amend(policy, batch, leaving | gone)
            try:
                with self._tickets.in_flight(batch):
                    await self._write(hold, policy, amendment.policy, removed)
            except AwsError:
                self._settle_as_read(policy, batch)
                raise
        self._learn(amendment)
        self._refused_for_room = any(amendment.finds_no_room_for(one) for one in amendment.verdicts)
        self._settle(amendment, batch)
        self._pods.settle(policy)
        return max(pause, self._hold_back())

    async def _weigh(self, policy: TrustPolicy) -> None:
        """Work out what external statements say of those in question, with pauses in which reviews are answered.

        All else of a cycle takes a moment, whatever a policy holds; this can take seconds, and is done once for
        each subject as long as these statements stay the same.
        """
        if self._external is None or not self._external.are_of(policy, self._own):
            self._external = ExternalStatements(policy, self._own)
        for number, subject in enumerate([*self._demand.wanted_in(self.role), *self._tickets.subjects], 1):
            self._external.say_of(subject)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _may_write(self, subject: Subject) -> bool:
        """Whether it may be in what is written: it is trusted already, or its namespace is known for certain."""
        return subject in self._known.trusted or self._demand.may_add(subject)

    def _hold_back(self) -> float:
        """Tell those who wait for the watch so; answers how many seconds to wait before the next look at them."""
        held = [one for one in self._tickets.subjects if not self._may_write(one)]
        self._tickets.fail_some(held, Untrusted(self.role, FailureKind.UNAVAILABLE, NOT_CERTAIN))
        return _HELD_BACK if held else 0.0

    def _forget_others(self) -> None:
        """Ask for nobody, and bring back nobody, whose namespace was made anew since, without being selected.

        A replica that slept for a while may still have them waiting: their first namespace was shown before their
        second.
        """
        asked = self._recent() | self._tickets.subjects
        others = sorted(one for one in asked if self._demand.is_another(self.role, one))
        self._recent_writes.forget(others)
        for subject in others:
            self._tickets.withdraw(subject, "its namespace was made anew and no binding selects it")

    def _removed_by_others(self, policy: TrustPolicy) -> frozenset[Subject]:
        """Those in our statement that were removed in the last minute, so that the read is too old to show it.

        This is never the reason for a write: a forged removal would be one then.
        """
        shown = policy.subjects(self._own) - self._tickets.subjects
        removed = self._recent_writes.still_removed(shown, asyncio.get_running_loop().time())
        gone = frozenset(one for one in removed if self._demand.may_leave(self.role, one))
        for subject in sorted(gone):
            log.info("removed_subject_not_brought_back", **self._facts(subject))
        return gone

    def _amend(self, policy: TrustPolicy, batch: list[Subject], leaving: frozenset[Subject]) -> Amendment:
        """The policy as it is to be, from the read and all that is known."""
        wanted = self._demand.wanted_in(self.role)
        known = [subject for subject in wanted if subject in self._known.trusted]
        new = [subject for subject in wanted if self._may_write(subject)]
        asked = [one for one in dict.fromkeys([*known, *batch, *new]) if one not in leaving]
        # Those known come first: the last room is not for newcomers.
        staying = policy.without(self._own, leaving)
        keep = self._recent() - leaving
        return amend(staying, self._own, keep, asked, self._ceiling.characters, self._external)

    def _settle_as_read(self, policy: TrustPolicy, batch: list[Subject]) -> None:
        """Answer those for whom the policy is right as it is: that a write failed is no news to them."""
        as_it_is = amend(policy, self._own, frozenset(), batch, 0, self._external)
        if not as_it_is.policy.same_meaning(policy):
            return  # our statement is not whole, so that nobody knows whom it lets in
        self._learn(as_it_is)
        self._settle(as_it_is, [one for one in as_it_is.verdicts if not as_it_is.finds_no_room_for(one)])

    def _settle(self, amendment: Amendment, subjects: Iterable[Subject]) -> None:
        for subject in subjects:
            outcome = outcome_of(amendment.verdicts[subject], self.role, self._ceiling.characters)
            self._tickets.settle(subject, outcome)

    async def _write(
        self, hold: Hold, before: TrustPolicy, policy: TrustPolicy, removed: frozenset[Subject]
    ) -> None:
        self._recent_writes.may_remove(removed, asyncio.get_running_loop().time())
        try:
            await self._policies.write(self.role, policy, lambda: hold.outlasts(WRITE_TIME))
        except AwsError as error:
            if error.kind is FailureKind.FULL:
                self._ceiling.refused(policy.size())
            if not error.kind.is_no_answer:
                self._recent_writes.did_not_remove(removed)
            elif removed:
                self._tell(hold)
            raise with_dangling_principals(error, policy) from error
        now = asyncio.get_running_loop().time()
        subjects = policy.subjects(self._own)
        if subjects <= self._known.trusted and not removed and not self._pods.is_new(before):
            metrics.trust_repairs.labels(self.role.value).inc()
        self._recent_writes.wrote(subjects, before.effective_subjects(self._own), now)
        self._recent_writes.removed(removed, now)
        self._tell(hold)
        self._note_removals(removed)
        self._pods.wrote()
        self._to_confirm = True
        self._differing.wrote(before, policy, now)
        metrics.trust_writes.labels(self.role.value).inc()
        log.info("trust_written", role_arn=self.role.value, subjects=len(subjects), characters=policy.size())

    def _learn(self, amendment: Amendment) -> None:
        """Remember the policy as it is now, for those who ask without a call."""
        recent = self._recent()
        self._known.learn(amendment, recent, asyncio.get_running_loop().time())
        self._looked.set()
        self._known.room = room(amendment.policy, self._own, self._ceiling.characters)
        self._gauges.show(
            amendment.policy, len(self.subjects | recent), self._known.room, self._ceiling.characters
        )

    def _tell(self, hold: Hold) -> None:
        """Have other replicas know who was written, and who was or may be removed."""
        now = asyncio.get_running_loop().time()
        removed = self._recent_writes.ages_of_removals(now)
        written = self._recent_writes.ages(now)
        hold.remember({one: ago for one, ago in written.items() if one not in removed}, removed)

    def _note_removals(self, removed: frozenset[Subject]) -> None:
        metrics.trust_removals.labels(self.role.value).inc(len(removed))
        for subject in sorted(removed):
            log.info("subject_removed", **self._facts(subject))

    def _facts(self, subject: Subject) -> dict[str, str]:
        return {
            "namespace": subject.namespace,
            "service_account": subject.service_account,
            "role_arn": self.role.value,
        }

    def _failed(self, error: AwsError) -> float:
        """Tell all who wait; answers how many seconds to wait before the next try, 0 where there is none."""
        failure = (
            full(self.role, self._ceiling.characters)
            if error.kind is FailureKind.FULL
            else Untrusted(self.role, error.kind, str(error))
        )
        pause = 0.0 if failure.kind.is_final else self._backoff()
        log.warning(
            "trust_not_written",
            role_arn=self.role.value,
            outcome=error.kind.value,
            reason=str(error),
            waiting=len(self._tickets.subjects),
            failures=self._failures,
            retry_in_s=round(pause, 2),
        )
        self._trouble = None if failure.kind is FailureKind.FULL else failure
        if self.needs_a_person or failure.kind.is_final:
            self._looked.set()
        if failure.kind.is_final:
            self._to_confirm = False
        for hear in filter(None, tuple(self._hearers)):
            hear(failure)
        self._tickets.fail(failure)
        self._pods.fail(failure)
        return pause

    def _backoff(self) -> float:
        self._failures += 1
        if not self._closing:
            self._wake.clear()  # who comes while IAM says no waits for the next try like the others
        return pause_after(self._failures)

    def _learn_from_others(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Take in what other replicas did lately: a read may be too old to show it, and some may wait for it."""
        self._recent_writes.hear(written, removed, asyncio.get_running_loop().time())
        self._believe()

    def _believe(self) -> None:
        """Count the removals heard of that the cluster confirms by what is known now, and the writes likewise."""
        now = asyncio.get_running_loop().time()
        for subject in self._recent_writes.believe_removals(self._tickets.subjects, now):
            self._known.hear_of_removal(subject)
        for subject in self._recent_writes.believe(now):
            self._known.hear_of(subject)
            self._tickets.settle(subject, self.trusts(subject) or Trusted(self.role, TrustSource.ALREADY))

    def _recent(self) -> frozenset[Subject]:
        return self._recent_writes.subjects(asyncio.get_running_loop().time())

    def _is_edit(self, policy: TrustPolicy) -> bool:
        return self._differing.look(policy, asyncio.get_running_loop().time())

    def _removed_lately(self) -> AbstractSet[Subject]:
        return self._recent_writes.removed_lately(asyncio.get_running_loop().time())

    def _may_be_stale(self) -> bool:
        """Whether our last write is so young that a read may not show it yet."""
        return bool(self._recent() or self._removed_lately()) or self._pods.written_lately
