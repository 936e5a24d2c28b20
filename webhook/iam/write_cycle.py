"""One cycle of a role's writer, under the role's lock: read the policy, amend it, write it where it has to change.

What is written is: read + wanted + pending + written in the last minute - removed. "Written" and "removed" count
for all replicas, so a stale read neither drops a subject nor brings one back. The role's Lease tells what other
replicas did. An addition counts where the cluster may want the subject, a removal where the subject seems unused.

Reasons for a write are a new subject, a removal that is approved and due, and a statement of ours that is missing
or edited. A removal of the last minute is no reason: a write that is due anyway only leaves the subject out. An
addition of the last minute is one only where reads go on to lack it: the policy was edited then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from webhook.iam.amendment import amend
from webhook.iam.external import denial_of_pods
from webhook.iam.pending import PendingRemovals
from webhook.iam.reasons import (
    NAMESPACE_REPLACED,
    NOT_CERTAIN,
    denied,
    outcome_of,
    repaired,
    with_dangling_principals,
)
from webhook.iam.recent_writes import StaleReads
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.coordination.lock import Hold
    from webhook.iam.amendment import Amendment
    from webhook.iam.external import ExternalStatements
    from webhook.iam.pending import PendingGrants
    from webhook.iam.policy_cache import PolicyCache
    from webhook.iam.ports import DesiredSubjects, TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject

log = structlog.get_logger(__name__)

_HELD_BACK = 2.0
"""Seconds until the next try for subjects that may not be written while the watch is out of touch."""

WRITE_TIME = 4.0
"""Seconds that a write can take once it is sent (connect 1 s, read 3 s): the lock must outlast it."""

_YIELD_EVERY = 50
"""Subjects weighed before the loop may answer reviews again."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a cycle does about the policy that it has read."""

    amendment: Amendment
    batch: list[Subject]
    """Those with a pending grant that may be written."""
    removed: frozenset[Subject]
    writes: bool
    """Whether the amended policy is written."""
    pause: float = 0.0
    """Seconds until the next cycle."""


class WriteCycle:
    """What the cycles of one role share. It adds, and removes only what `removals` approves."""

    def __init__(
        self,
        cache: PolicyCache,
        policies: TrustPolicies,
        desired: DesiredSubjects,
        pending: PendingGrants[Subject],
        pending_for_pods: PendingGrants[RoleArn],
    ) -> None:
        self.to_read_again = False
        """Whether the policy is to be read again though no grant is pending."""
        self.removals = PendingRemovals(lambda subject: desired.may_remove(cache.role, subject))
        self._role = cache.role
        self._cache = cache
        self._recent = cache.recent
        self._now = cache.clock
        self._policies = policies
        self._desired = desired
        self._pending = pending
        self._pending_for_pods = pending_for_pods
        self._stale = StaleReads()

    async def run(self, hold: Hold, own: OwnStatement) -> float:
        """Read, amend, write; answers how many seconds to wait before the next cycle. Raises AwsError."""
        quota = await self._policies.quota()
        policy = await self._policies.read(self._role)  # the last call before a write: IAM's window stays small
        subjects = policy.subjects(own)
        self._cache.quota.answered(quota)
        external = self._cache.external_of(policy, own)
        if external.concerns_any:
            await self._weigh(external)
        plan = self._planned(policy, own, subjects)
        if plan.writes:
            try:
                with self._pending.in_flight(plan.batch):
                    await self._write(hold, own, policy, plan.amendment.policy, plan.removed)
            except AwsError:
                self._settle_as_read(policy, own, plan.batch)
                raise
        self._cache.learn(plan.amendment, own)
        self._cache.refused_for_room = any(map(plan.amendment.finds_no_room_for, plan.amendment.verdicts))
        self._settle(plan.amendment, plan.batch)
        self._settle_for_pods(policy, own, wrote=plan.writes)
        return max(plan.pause, self._hold_back())

    def _planned(self, policy: TrustPolicy, own: OwnStatement, shown: frozenset[Subject]) -> _Plan:
        """What to do about the policy, which names `shown`. Awaits nothing: all is judged at one moment."""
        pending, quota = self._pending.keys, self._cache.quota.characters
        self._confirm_news()
        self._recent.settle_unanswered(shown)
        written, recent_removals = self._recent.subjects(self._now()), self._recent.removed(self._now())
        wanted = self._desired.wanted_in(self._role)
        replaced = frozenset(self._desired.replaced_among(written | pending))
        if replaced:
            self._drop_replaced(replaced)
        allowed = self._writable({*wanted, *pending})
        batch = [one for one in pending if one in allowed]
        # What is trusted already comes first: the last room is not for newcomers.
        trusted = [one for one in wanted if one in self._cache.trusted]
        asked = dict.fromkeys([*trusted, *batch, *(one for one in wanted if one in allowed)])
        due = self.removals.due(pending, self._now())
        external = self._cache.external
        amended = partial(amend, policy, own, written - replaced, asked, quota, external)
        amendment, removed = amended(due), shown & due
        if max(policy.size(), quota) < amendment.policy.size():
            # External statements have filled the room of subjects that we keep: nothing can be written.
            raise AwsError(FailureKind.FULL, f"{amendment.policy.size()} characters of {quota}")
        if amendment.policy.same_meaning(policy):
            self.to_read_again = False
            self._stale.settle()
            return _Plan(amendment, batch, removed, writes=False)
        # A subject that was removed in the last minute and is still shown is more likely a stale read.
        is_change = amendment.adds_any or not removed <= recent_removals
        if not is_change and (pause := self._seconds_of_doubt(policy, own)):
            return _Plan(amendment, batch, removed, writes=False, pause=pause)
        if late := shown & recent_removals - due - pending:
            amendment = amended(due | self._unused(late))  # it fits: it only lacks more
        return _Plan(amendment, batch, removed, writes=True)

    def _writable(self, subjects: set[Subject]) -> set[Subject]:
        """Those that what is written may name: trusted already, or their namespace is known for certain."""
        trusted = self._cache.trusted.keys()
        return {*(subjects & trusted), *self._desired.addable_among(subjects - trusted)}

    def learn_from_others(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Take in what other replicas did: a read may be too old to show it, and grants may be pending for it."""
        self._recent.learn(written, removed, self._now())
        self._confirm_news()

    def _confirm_news(self) -> None:
        """Count what other replicas did, where the cluster confirms it by what is known now."""
        now, role, desired = self._now(), self._role, self._desired
        for subject in self._recent.confirm_removals(
            lambda one: desired.seems_unused(role, one), self._pending.keys, now
        ):
            self._cache.learn_removal(subject)
        for subject in self._recent.confirm_additions(lambda one: desired.may_want(role, one), now):
            self._cache.learn_addition(subject)
            known = self._cache.trusts(subject)
            self._pending.settle(subject, known or Trusted(role, TrustSource.ALREADY))

    async def _weigh(self, external: ExternalStatements) -> None:
        """Work out what external statements do for the subjects in question, which an amendment asks for.

        This can take seconds, so it pauses for reviews. The rest of a cycle takes a moment for any policy.
        While the external statements stay the same, it is done once for each subject.
        """
        for number, subject in enumerate([*self._desired.wanted_in(self._role), *self._pending.keys], 1):
            external.effects_on(subject)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _drop_replaced(self, replaced: frozenset[Subject]) -> None:
        """Drop the grants and the recent writes of subjects whose namespace was recreated and is not selected.

        A replica that was suspended may still have a grant pending for the namespace that was deleted.
        """
        self._recent.forget(replaced)
        for subject in sorted(replaced):
            self._pending.withdraw(subject, Untrusted(self._role, FailureKind.WITHDRAWN, NAMESPACE_REPLACED))

    def _seconds_of_doubt(self, policy: TrustPolicy, own: OwnStatement) -> float:
        """Seconds until the next look at a policy that differs though nothing is added or removed.

        0 where it is to be written. While a write of the last minute may not show, the read is more likely
        stale than edited: `StaleReads` decides.
        """
        now = self._now()
        # A write of subjects does not explain a wrong statement for pods: only a write of those does.
        is_right_for_pods = policy.allows_pods(own) and not policy.has_former(own)
        if not (self._recent.may_hide(now) if is_right_for_pods else self._recent.may_hide_pods(now)):
            return 0.0
        self._stale.record_look(policy, now)
        if self._stale.is_edit(now):
            return 0.0
        self.to_read_again = True
        return self._stale.pause

    def _unused(self, removed: frozenset[Subject]) -> frozenset[Subject]:
        """Those that are unused: any replica removed them in the last minute, and the read is too old to show it.

        They are dropped from a write that is due anyway. They are never the reason for one: a forged removal would
        be a reason then.
        """
        unused = frozenset(one for one in removed if self._desired.may_remove(self._role, one))
        for subject in sorted(unused):
            log.info("removed_subject_not_brought_back", **subject.log_fields, role_arn=self._role.value)
        return unused

    async def _write(
        self,
        hold: Hold,
        own: OwnStatement,
        before: TrustPolicy,
        policy: TrustPolicy,
        removed: frozenset[Subject],
    ) -> None:
        sent = False

        def may_send() -> bool:
            nonlocal sent
            sent = hold.outlasts(WRITE_TIME)
            return sent

        if removed:
            self._recent.record_unanswered(removed, self._now())
        try:
            await self._policies.write(self._role, policy, may_send)
        except AwsError as error:
            if error.kind is FailureKind.FULL:
                self._cache.quota.refused(policy.size())
            if not sent or not error.kind.is_no_answer:
                self._recent.drop_unanswered(removed)
            elif removed:
                self._tell(hold)
            raise with_dangling_principals(error, policy) from error
        now, role, subjects = self._now(), self._role.value, policy.subjects(own)
        is_new_for_pods = self._cache.pods is None and not before.allows_pods(own)
        is_repair = subjects <= self._cache.trusted.keys() and not removed and not is_new_for_pods
        if is_repair:
            metrics.trust_repairs.labels(role).inc()
            hold.record_repair()
        if (edited := before.edited_elements(own)) or is_repair:
            log.warning("trust_repaired", role_arn=role, reason=repaired(edited))
        self._recent.wrote(subjects, before.effective_subjects(own), now)
        self._recent.record_removal(removed, now)
        if own.pods or before.has_former(own):
            self._recent.wrote_for_pods(now)
        self._tell(hold)
        self._report_removals(removed)
        self.to_read_again = True
        self._stale.wrote(before, policy, now)
        metrics.trust_writes.labels(role).inc()
        log.info("trust_written", role_arn=role, subjects=len(subjects), characters=policy.size())

    def _tell(self, hold: Hold) -> None:
        """Have other replicas know what was written, and what was or may be removed."""
        now = self._now()
        removed, written = self._recent.ages_of_removals(now), self._recent.ages(now)
        hold.remember({one: ago for one, ago in written.items() if one not in removed}, removed)

    def _report_removals(self, removed: frozenset[Subject]) -> None:
        metrics.trust_removals.labels(self._role.value).inc(len(removed))
        for subject in sorted(removed):
            log.info("subject_removed", **subject.log_fields, role_arn=self._role.value)

    def _settle_as_read(self, policy: TrustPolicy, own: OwnStatement, batch: list[Subject]) -> None:
        """Settle the grants that are trusted or denied as the policy is: a failed write is no news to them."""
        # With a quota of 0 nothing is added: a subject that is neither trusted nor denied finds no room.
        as_it_is = amend(policy, own, frozenset(), batch, 0, self._cache.external)
        if not as_it_is.policy.same_meaning(policy):
            return  # our statement is not whole: what it allows is not certain
        self._cache.learn(as_it_is, own)
        self._settle(as_it_is, [one for one in as_it_is.verdicts if not as_it_is.finds_no_room_for(one)])

    def _settle(self, amendment: Amendment, subjects: Iterable[Subject]) -> None:
        for subject in subjects:
            outcome = outcome_of(amendment.verdicts[subject], self._role, self._cache.quota.characters)
            self._pending.settle(subject, outcome)

    def _settle_for_pods(self, policy: TrustPolicy, own: OwnStatement, *, wrote: bool) -> None:
        """Settle what is pending for pods, after a cycle that read `policy`."""
        place, source = denial_of_pods(policy, own), TrustSource.WRITTEN if wrote else TrustSource.ALREADY
        self._cache.pods = None if place or not own.pods else TrustSource.ALREADY
        outcome = denied(self._role, place) if place else Trusted(self._role, source)
        self._pending_for_pods.settle(self._role, outcome)

    def _hold_back(self) -> float:
        """Fail grants that wait for the watch, which is interrupted; answers the seconds until the next try."""
        allowed = self._writable(set(self._pending.keys))
        held = [one for one in self._pending.keys if one not in allowed]
        self._pending.fail(Untrusted(self._role, FailureKind.UNAVAILABLE, NOT_CERTAIN), held)
        return _HELD_BACK if held else 0.0
