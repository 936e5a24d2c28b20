"""The one writer of a role's trust policy: reads, adds our subjects, writes, and shares the write.

While one write is under way new grants collect; the next cycle takes them all. So an idle role answers at
once, and a burst of hundreds costs a few writes.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from webhook.domain.amendment import DEFAULT_QUOTA, Amendment, Standing, Verdict, amend
from webhook.domain.errors import InvalidPolicyError
from webhook.telemetry import metrics
from webhook.trust.outcomes import Outcome, Proof, Ticket, Trusted, Untrusted
from webhook.trust.ports import AwsError, FailureKind, LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.statement import OwnStatement
    from webhook.domain.trust_policy import TrustPolicy
    from webhook.trust.ports import Hold, RoleLock, TrustPolicies

log = structlog.get_logger(__name__)

WRITE_TIME = 4.0
"""Seconds that a write can take (connect 1 s, read 3 s): the lock must outlast it."""

REMEMBERED = 60.0
"""Seconds for which a subject written by any replica is kept whatever a read says: IAM's reads can be that old."""

_FIRST_BACKOFF = 0.25
_LAST_BACKOFF = 10.0


class RoleWriter:
    """Makes one role trust subjects; only ever adds.

    What is written is (read + wanted + waiting + written in the last minute, by any replica), so a stale read
    drops nobody.
    """

    def __init__(
        self,
        role: RoleArn,
        own: OwnStatement,
        policies: TrustPolicies,
        lock: RoleLock,
        wanted: Callable[[RoleArn], Iterable[Subject]],
    ) -> None:
        self.role = role
        self._own = own
        self._policies = policies
        self._lock = lock
        self._wanted = wanted
        self._waiting: dict[Subject, Ticket] = {}
        self._written: dict[Subject, float] = {}
        self._policy: TrustPolicy | None = None
        self._trusted: dict[Subject, Proof] = {}
        self._quota = DEFAULT_QUOTA
        self._quota_answered = DEFAULT_QUOTA
        self._refused_size: int | None = None
        self._to_confirm = False
        self._suspicious_looks = 0
        self._failures = 0
        self._seen = asyncio.Event()
        self._wake = asyncio.Event()
        self._closing = False
        self._holding = False
        self._task: asyncio.Task[None] | None = None

    # What is known without asking AWS

    def trusts(self, subject: Subject) -> Proof | None:
        """How the role is known to trust `subject`, or None; no call is made."""
        return self._trusted.get(subject)

    def has_room_for(self, subject: Subject) -> bool:
        """Whether `subject` fits by what is known; an unread policy is taken to have room."""
        if self._policy is None:
            return True
        asked = [*self._waiting, subject]
        amendment = amend(self._policy, self._own, self._recent(), asked, self._quota)
        return amendment.verdicts[subject].standing is not Standing.NO_ROOM

    # Asking for trust

    def submit(self, subject: Subject) -> Ticket:
        """Have `subject` trusted; those who ask for the same subject share one ticket."""
        ticket = self._waiting.setdefault(subject, Ticket())
        self._start()
        return ticket

    async def first_look(self) -> None:
        """Wait until the policy has been read once, however long AWS takes; at once if it has been."""
        if not self._seen.is_set():
            self.check()
            await self._seen.wait()

    def check(self) -> None:
        """Read the policy again soon, and put our statement right if it is not what the cluster wants."""
        self._to_confirm = True
        self._start()

    async def close(self) -> None:
        """Start no further cycle and wait for the one under way, so that no write is cut off."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            if not self._holding:
                self._task.cancel()  # it waits for the lock, which another replica may hold for long
            await asyncio.wait([self._task])

    # The loop

    def _start(self) -> None:
        if not self._failures:
            self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"writer {self.role.name}")

    async def _run(self) -> None:
        while self._has_work:
            try:
                pause = await self._hold_and_work()
            except Exception:
                log.exception("trust_writer_failed", role_arn=self.role.value)
                metrics.unexpected_errors.labels("trust_writer").inc()
                pause = _LAST_BACKOFF
            if pause and not self._closing:
                await self._sleep(pause)

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting or self._to_confirm) and not self._closing

    async def _hold_and_work(self) -> float:
        """One or more cycles under one lock; answers how many seconds to wait before the next."""
        self._wake.clear()
        try:
            async with self._lock.hold(self.role, self._learn_from_others) as hold:
                self._holding = True
                pause = await self._cycle(hold) if self._has_work else 0.0
                while not pause and self._has_work and await hold.again():
                    pause = await self._cycle(hold)
                self._failures = 0
                return pause
        except AwsError as error:
            return self._failed(error)
        except LockError as error:
            return self._failed(AwsError(FailureKind.UNAVAILABLE, str(error)))
        except InvalidPolicyError as error:
            return self._failed(AwsError(FailureKind.MALFORMED, str(error)))
        finally:
            self._holding = False

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _cycle(self, hold: Hold) -> float:
        """Read, amend, write; answers how many seconds to wait before the next cycle."""
        self._quota = self._ceiling(await self._policies.quota())
        policy = await self._policies.read(self.role)  # the last call before a write: IAM's window stays small
        batch = list(self._waiting)
        asked = dict.fromkeys([*batch, *self._wanted(self.role)])
        amendment = amend(policy, self._own, self._recent(), asked, self._quota)
        pause = 0.0
        if amendment.policy.same_meaning(policy):
            self._to_confirm = False
            self._suspicious_looks = 0
        elif not amendment.adds_someone and self._may_be_stale():
            # Nobody new, yet the read is not what we wrote: sooner an old answer than somebody's edit.
            self._to_confirm = True
            self._suspicious_looks += 1
            pause = min(2.0 ** (self._suspicious_looks - 1), _LAST_BACKOFF)
        else:
            await self._write(hold, policy, amendment.policy)
        self._learn(amendment)
        for subject in batch:
            self._answer(subject, self._outcome(amendment.verdicts[subject]))
        return pause

    async def _write(self, hold: Hold, before: TrustPolicy, policy: TrustPolicy) -> None:
        if not hold.outlasts(WRITE_TIME):
            raise AwsError(FailureKind.UNAVAILABLE, "the role's lock would not have outlasted the write")
        try:
            await self._policies.write(self.role, policy)
        except AwsError as error:
            if error.kind is FailureKind.FULL:
                self._refused_size = policy.size()
            raise _with_dangling_principals(error, policy) from error
        now = asyncio.get_running_loop().time()
        subjects = policy.subjects(self._own)
        self._written.update(dict.fromkeys(subjects - before.subjects(self._own), now))
        hold.remember({subject: now - at for subject, at in self._written.items()})
        self._to_confirm = True
        self._suspicious_looks = 0
        metrics.trust_writes.labels(self.role.value).inc()
        log.info("trust_written", role_arn=self.role.value, subjects=len(subjects), characters=policy.size())

    def _learn(self, amendment: Amendment) -> None:
        """Remember the policy as it is now, for those who ask without a call."""
        self._policy = amendment.policy
        subjects = amendment.policy.subjects(self._own)
        self._trusted = dict.fromkeys(subjects, Proof.ALREADY)
        for subject, verdict in amendment.verdicts.items():
            if verdict.standing is Standing.FOREIGN:
                self._trusted[subject] = Proof.FOREIGN
            elif verdict.standing is Standing.DENIED:
                self._trusted.pop(subject, None)
        self._seen.set()
        metrics.trust_subjects.labels(self.role.value).set(len(subjects))
        metrics.trust_policy_characters.labels(self.role.value).set(amendment.policy.size())
        metrics.trust_policy_quota_characters.labels(self.role.value).set(self._quota)

    def _outcome(self, verdict: Verdict) -> Outcome:
        match verdict.standing:
            case Standing.ADDED:
                return Trusted(self.role, Proof.WRITTEN)
            case Standing.KEPT:
                return Trusted(self.role, Proof.ALREADY)
            case Standing.FOREIGN:
                return Trusted(self.role, Proof.FOREIGN)
            case Standing.NO_ROOM:
                return self._full()
            case Standing.DENIED:
                reason = f"{verdict.place} of the trust policy of {self.role} denies it: change that statement"
                return Untrusted(self.role, FailureKind.DENIED_BY_POLICY, reason)

    def _full(self) -> Untrusted:
        return Untrusted(
            self.role,
            FailureKind.FULL,
            f"the trust policy of {self.role} is full ({self._quota} characters): raise IAM quota L-C07B4B0D "
            "(Role trust policy length) or add a role to the binding",
        )

    def _answer(self, subject: Subject, outcome: Outcome) -> None:
        self._waiting.pop(subject).settle(outcome)

    def _failed(self, error: AwsError) -> float:
        """Note a failure for all who wait; answers how many seconds to wait before the next try."""
        self._failures += 1
        if not self._closing:
            self._wake.clear()  # who comes while IAM says no waits for the next try like the others
        pause = min(_FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 10), _LAST_BACKOFF) * random.uniform(0.75, 1.0)  # noqa: S311
        log.warning(
            "trust_not_written",
            role_arn=self.role.value,
            outcome=error.kind.value,
            reason=str(error),
            waiting=len(self._waiting),
            failures=self._failures,
            retry_in_s=round(pause, 2),
        )
        failure = self._full() if error.kind is FailureKind.FULL else Untrusted(self.role, error.kind, str(error))
        for subject, ticket in list(self._waiting.items()):
            if failure.kind.is_final:
                self._answer(subject, failure)
            else:
                ticket.fail(failure)
        if failure.kind.is_final:
            self._to_confirm = False
        return pause

    def _learn_from_others(self, written: Mapping[Subject, float]) -> None:
        """Take in what other replicas wrote lately: a read may be too old to show it, and some may wait for it."""
        now = asyncio.get_running_loop().time()
        for subject, ago in written.items():
            if ago < REMEMBERED and subject not in self._written:
                self._written[subject] = now - ago
                self._trusted.setdefault(subject, Proof.ALREADY)
                if subject in self._waiting:
                    self._answer(subject, Trusted(self.role, Proof.ALREADY))

    def _recent(self) -> frozenset[Subject]:
        horizon = asyncio.get_running_loop().time() - REMEMBERED
        self._written = {subject: at for subject, at in self._written.items() if at > horizon}
        return frozenset(self._written)

    def _ceiling(self, quota: int) -> int:
        """The quota as answered, or less where IAM refused a smaller document under that same answer."""
        if quota != self._quota_answered:
            self._quota_answered, self._refused_size = quota, None
        return quota if self._refused_size is None else min(quota, self._refused_size - 1)

    def _may_be_stale(self) -> bool:
        """Whether our last write is so young that a read may not show it yet."""
        return bool(self._recent())


def _with_dangling_principals(error: AwsError, policy: TrustPolicy) -> AwsError:
    """The error, with the place of what makes IAM refuse every write, if that is why."""
    dangling = policy.dangling_principals()
    if error.kind is not FailureKind.MALFORMED or not dangling:
        return error
    places = ", ".join(f"{principal} in {place}" for place, principal in dangling)
    return AwsError(
        FailureKind.MALFORMED,
        f"{error}; the policy names a principal that was deleted ({places}): remove it, IAM refuses every "
        "change until then",
    )
