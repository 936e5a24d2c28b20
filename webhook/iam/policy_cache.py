"""What is known of one role's trust policy without asking AWS: as last read, and by the last minute's writes."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from webhook.iam.amendment import DEFAULT_QUOTA, Amending, Standing, room
from webhook.iam.external import ExternalStatements, effects_on_pod
from webhook.iam.reasons import WAYS_OUT, may_be_denied
from webhook.iam.recent_writes import RecentWrites
from webhook.model.outcomes import Trusted, TrustSource
from webhook.runtime.clock import loop_clock
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.iam.amendment import Amendment
    from webhook.iam.pending import PendingGrants
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject

log = structlog.get_logger(__name__)

_FULL_FOR = 120.0
"""Seconds after a read for which a full role counts as full, so that subjects try another. Each pass reads it."""

NEARLY_FULL = 0.8
"""The part of a quota above which a warning is logged, for trust policies and for associations.

The alerts "nearly full" have the same number (charts/mxp-identity-webhook/files/alerts.yaml).
"""


class PolicyCache:
    """A role's policy and the subjects that it trusts. No question makes a call."""

    def __init__(self, role: RoleArn) -> None:
        self.role = role
        self.clock = loop_clock()
        self.recent = RecentWrites()
        self.quota = EffectiveQuota()
        self.synced = asyncio.Event()
        """Set once the policy was read, or once only a person can make it readable or writable."""
        self.policy: TrustPolicy | None = None
        """None before the first read."""
        self.external: ExternalStatements | None = None
        """Which of its external statements allow or deny each subject."""
        self.subjects: frozenset[Subject] = frozenset()
        """The subjects of our statement; none before the first read."""
        self.read_at = float("-inf")
        """When the policy was last read or written."""
        self.pods: TrustSource | None = None
        """How EKS is known to be allowed for the pods of the role's bindings."""
        self.refused_for_room = False
        """Whether a subject that asked at the last read did not fit."""
        self._own: OwnStatement | None = None
        self.trusted: dict[Subject, TrustSource] = {}
        """The subjects that the role is known to trust, by whichever statement."""
        self._room = 0
        self._gauges = _PolicyGauges(role)
        self._forecast: Amending | None = None
        """The amendment for the pending grants, of which the first `_asked` were asked for."""
        self._base: tuple[TrustPolicy, frozenset[Subject], int, int] | None = None
        """What `_forecast` was made from."""
        self._asked = 0

    def trusts(self, subject: Subject) -> Trusted | None:
        """How the role is known to trust `subject`, and what may deny it; None where it is not known to.

        None too where a write that removes the subject has no answer: a grant then waits for the next write.
        """
        source = self.trusted.get(subject)
        if source is None or self.recent.is_being_removed(subject, self.clock()):
            return None
        place = self.external.effects_on(subject).possible_denial if self.external else None
        return Trusted(self.role, source, may_be_denied(self.role, place) if place else "")

    def doubt_of_pods(self, binding: str, namespace: str) -> str:
        """A sentence about a statement that may deny EKS the role for pods there; empty where there is none."""
        statement = self._own.for_pods_of(binding) if self._own else None
        if self.policy is None or statement is None:
            return ""
        place = effects_on_pod(self.policy, statement.claims_in(namespace)).possible_denial
        return may_be_denied(self.role, place) if place else ""

    @property
    def is_full(self) -> bool:
        """Whether no more fit, by a young read and what was written since.

        Pending grants do not count. A namespace reaches replicas at different moments, so with them the replicas
        would choose different roles.
        """
        now = self.clock()
        if now - self.read_at > _FULL_FOR:
            return False
        recent = self.recent.subjects(now)
        # The first question costs nothing, and usually its answer is no.
        return self._room <= len(recent) and self._room <= len(recent - self.subjects)

    def has_room_for(self, subject: Subject, pending: PendingGrants[Subject]) -> bool:
        """Whether `subject` fits beside all pending grants; a policy that was not read yet has room.

        It answers as `amend` would for those pending and then this one, at a small and constant cost.
        """
        if self.policy is None or self._own is None:
            return True
        amending = self._forecast_of(self.policy, self._own, pending)
        return amending.verdict(subject).standing is not Standing.NO_ROOM

    def _forecast_of(self, policy: TrustPolicy, own: OwnStatement, pending: PendingGrants[Subject]) -> Amending:
        """The amendment for all pending grants. It is continued while grants only come; else it begins again."""
        recent, quota = self.recent.subjects(self.clock()), self.quota.characters
        base = policy, recent, quota, pending.ended
        if self._forecast is None or base != self._base:
            self._base, self._asked = base, 0
            self._forecast = Amending(policy, own, recent, quota, self.external)
        for subject in islice(pending.keys, self._asked, None):
            self._forecast.ask(subject)
        self._asked = len(pending.keys)
        return self._forecast

    def learn(self, amendment: Amendment, own: OwnStatement) -> None:
        """Take in the policy as it is now. Recent writes count though the read may not show them."""
        policy, self._own, self.read_at = amendment.policy, own, self.clock()
        recent = self.recent.subjects(self.read_at)
        self.policy, self.subjects = policy, policy.subjects(own)
        external = self.external_of(policy, own)
        self.trusted = dict.fromkeys(self.subjects | recent, TrustSource.ALREADY)
        for subject, verdict in amendment.verdicts.items():
            if verdict.standing is Standing.EXTERNAL:
                self.trusted[subject] = TrustSource.EXTERNAL
            elif verdict.standing is Standing.DENIED:
                self.trusted.pop(subject, None)
        self._room = room(policy, own, self.quota.characters)
        self._gauges.show(policy, len(self.subjects | recent), self._room, self.quota.characters)
        self._gauges.show_wide(external)
        self.synced.set()

    def external_of(self, policy: TrustPolicy, own: OwnStatement) -> ExternalStatements:
        """The external statements of `policy`, with all that was worked out of them while they stay the same."""
        if self.external is None or not self.external.are_of(policy, own):
            self.external = ExternalStatements(policy, own)
        return self.external

    def learn_addition(self, subject: Subject) -> None:
        """Another replica has written it."""
        self.trusted.setdefault(subject, TrustSource.ALREADY)

    def learn_removal(self, subject: Subject) -> None:
        """Another replica has removed it: the next read shows whether some statement still trusts it."""
        self.trusted.pop(subject, None)


class EffectiveQuota:
    """The quota as AWS answers it, or less where IAM refused a smaller document since that answer."""

    def __init__(self) -> None:
        self._answered = DEFAULT_QUOTA
        self.characters = DEFAULT_QUOTA
        """How many a policy may have; white space does not count."""

    def answered(self, quota: int) -> None:
        """Take in AWS's answer. A number that differs from the last answer ends what refusals have shown."""
        if quota != self._answered:
            self._answered = self.characters = quota

    def refused(self, size: int) -> None:
        """Take in that IAM refused a document of `size` characters as too large."""
        self.characters = min(self.characters, size - 1)


class _PolicyGauges:
    """The gauges of one role's trust policy, and its counters from the start: a rate needs two samples."""

    def __init__(self, role: RoleArn) -> None:
        self._role = role
        self._nearly_full = False
        self._external: ExternalStatements | None = None
        for counter in (metrics.trust_writes, metrics.trust_repairs, metrics.trust_removals):
            counter.labels(role.value)

    def show(self, policy: TrustPolicy, subjects: int, fit: int, quota: int) -> None:
        """Show the policy as it is now; log once each time that it becomes nearly full.

        `subjects` is how many are trusted, `fit` how many more fit. `quota` is in characters.
        """
        role = self._role.value
        metrics.trust_subjects.labels(role).set(subjects)
        metrics.trust_policy_characters.labels(role).set(policy.size())
        metrics.trust_policy_quota_characters.labels(role).set(quota)
        metrics.trust_subjects_that_fit.labels(role).set(fit)
        before, self._nearly_full = self._nearly_full, policy.size() > NEARLY_FULL * quota
        if self._nearly_full and not before:
            log.warning(
                "trust_policy_nearly_full",
                role_arn=role,
                characters=policy.size(),
                quota_characters=quota,
                subjects_that_fit=fit,
                reason=f"{fit} ServiceAccounts more fit; before then {WAYS_OUT}",
            )

    def show_wide(self, external: ExternalStatements) -> None:
        """Show how many external statements are wide, counted again only where they have changed."""
        if external is not self._external:
            self._external = external
            metrics.trust_wide_statements.labels(self._role.value).set(len(external.wide()))
