"""The flow of one review: find the namespace, decide, obtain trust for the subject, answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.admission.answers import (
    Answer,
    audit_of,
    granted,
    ignored,
    ignored_unknown,
    lack,
    namespace_unknown,
    patch_of,
    refused,
    refused_unknown,
    refused_untrusted,
    warnings_of,
)
from webhook.admission.namespaces import NamespaceUnknownError
from webhook.admission.reviews import InvalidReviewError
from webhook.iam.reasons import MOVED
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import ExistingAnnotation
from webhook.model.decisions import (
    Account,
    Decision,
    Grant,
    Ignore,
    IgnoreReason,
    Refuse,
    decide,
    possible_decisions,
    refusal_while_terminating,
)
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.association import Need
from webhook.telemetry.events import TRUST_PENDING, EventSubject

if TYPE_CHECKING:
    from webhook.admission.namespaces import LiveNamespaces
    from webhook.admission.reviews import Metadata, Request
    from webhook.engine.grants import Grants
    from webhook.model.bindings import Binding
    from webhook.model.names import RoleArn
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

# Reasons that a namespace which the watch does not show yet could change.
_NOT_SHOWN_YET = frozenset(
    {IgnoreReason.NO_SUCH_NAMESPACE, IgnoreReason.NAMESPACE_TERMINATING, IgnoreReason.NOT_BOUND}
)

_TERMINATING = Ignore(IgnoreReason.NAMESPACE_TERMINATING)


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """How long a review waits for trust, and whether it is denied where that was not enough."""

    trust_budget: float
    """The longest time that a review waits for AWS, in seconds."""
    refuse_without_trust: bool
    """Whether a ServiceAccount that no role trusts in time is denied."""


@dataclass(frozen=True, slots=True)
class _Review:
    """What a review is judged by. Only one that creates a ServiceAccount or changes its role can be denied.

    A forged review can lie about the old object. It gains only an answer that allows, which counts for nothing:
    answers count only where the API server asked.
    """

    account: Account
    """Never as being deleted: until it is gone, new pods can start with the role that it names."""
    metadata: Metadata
    is_creation: bool
    old_role: str | None
    dry_run: bool

    @property
    def changes_role(self) -> bool:
        """Whether it creates the ServiceAccount, or names another role than before."""
        return self.is_creation or self.old_role != self.account.role_annotation

    def keeps_role(self, binding: Binding) -> bool:
        """Whether it keeps the role, so that the review waits for nothing."""
        return not self.changes_role and (binding.associates or self.account.role_annotation is not None)

    def gives(self, role: RoleArn, binding: Binding) -> bool:
        """Whether it gives `role` to a ServiceAccount that did not have it."""
        if self.is_creation:
            return True
        return self.changes_role and not binding.associates and self.old_role != role.value


class AdmissionService:
    """Answers reviews of ServiceAccounts."""

    observes = False

    def __init__(
        self,
        bindings: tuple[Binding, ...],
        namespaces: LiveNamespaces,
        grants: Grants,
        events: Events,
        rules: AdmissionRules,
    ) -> None:
        self._bindings = bindings
        self._names = frozenset(binding.service_account for binding in bindings)
        self._namespaces = namespaces
        self._grants = grants
        self._events = events
        self._rules = rules

    @property
    def may_deny(self) -> bool:
        """Whether any setting can have a ServiceAccount denied."""
        return self._rules.refuse_without_trust or any(
            binding.existing_annotation is ExistingAnnotation.DENY for binding in self._bindings
        )

    async def answer(self, request: Request, seconds: float) -> Answer:
        """Answer one review within `seconds`. Raises InvalidReviewError for an unreadable object."""
        if not request.is_reviewed:
            return Answer(allowed=True, outcome="not_reviewed")
        if request.unreadable:
            raise InvalidReviewError(request.unreadable)
        metadata = request.metadata
        account = Account(
            namespace=request.namespace,
            name=metadata.name or request.name,
            role_annotation=metadata.role_annotation,
        )
        if account.name not in self._names:
            return Answer(allowed=True, outcome=IgnoreReason.NOT_BOUND.value)
        review = _Review(
            account,
            metadata,
            is_creation=request.operation == "CREATE",
            old_role=request.old_role,
            dry_run=request.dry_run,
        )
        return await self._answer(review, min(self._rules.trust_budget, seconds))

    async def _answer(self, review: _Review, budget: float) -> Answer:
        account, started, cache = review.account, asyncio.get_running_loop().time(), self._namespaces.cache
        namespace = cache.cached(account.namespace)
        decision = decide(account, namespace, self._bindings)
        if self._needs_live_read(decision, review):
            try:
                namespace = await self._namespaces.fetch(account.namespace, budget)
            except NamespaceUnknownError as error:
                # A watch in touch is as good as a live read, except for its delay.
                namespace = cache.cached(account.namespace)
                decision = decide(account, namespace, self._bindings)
                if namespace is None or not cache.namespaces_in_touch:
                    return self._unknown(review, decision, str(error))
            else:
                decision = decide(account, namespace, self._bindings)
                cache.record_live(account.namespace, namespace if isinstance(decision, Grant) else None)
        if decision == _TERMINATING and review.changes_role:
            decision = refusal_while_terminating(account, namespace, self._bindings) or decision
        return await self._as_decided(decision, review, budget - (asyncio.get_running_loop().time() - started))

    async def _as_decided(self, decision: Decision, review: _Review, seconds: float) -> Answer:
        if isinstance(decision, Refuse) and review.changes_role:
            return refused(decision)
        if review.metadata.being_deleted:
            return ignored(Ignore(IgnoreReason.BEING_DELETED))
        if isinstance(decision, Refuse):
            decision = decision.instead or Ignore(IgnoreReason.EXTERNAL_ROLE, decision.reason)
        if isinstance(decision, Ignore):
            return ignored(decision)
        return await self._grant(decision, review, seconds)

    def _needs_live_read(self, decision: Decision, review: _Review) -> bool:
        """Whether the namespace is read from the API server, because the cache may be behind.

        It is read before a ServiceAccount is ignored because of a namespace that the watch may not show yet. While
        the watch is out of touch, it is also read before anything is written, denied, or left with another role.
        """
        if review.metadata.being_deleted and not review.changes_role:
            return False
        if isinstance(decision, Ignore) and decision.reason in _NOT_SHOWN_YET:
            return bool(possible_decisions(review.account, self._bindings))
        if self._namespaces.cache.namespaces_in_touch:
            return False
        if isinstance(decision, Grant):
            writes = not review.dry_run and not review.metadata.being_deleted
            return writes and self._grants.known(decision) is None
        return isinstance(decision, Refuse) or decision.reason is IgnoreReason.EXTERNAL_ROLE

    def _unknown(self, review: _Review, cached: Decision, reason: str) -> Answer:
        """Answer without knowing the namespace. `cached` is the decision by a cache that is out of touch."""
        account = review.account
        log.warning("namespace_unknown", namespace=account.namespace, reason=reason)
        problem = namespace_unknown(account.namespace)
        if review.changes_role and any(
            self._might_refuse(one, review) for one in possible_decisions(account, self._bindings)
        ):
            return refused_unknown(problem, reason)
        if review.metadata.being_deleted:
            return ignored(Ignore(IgnoreReason.BEING_DELETED))
        if isinstance(cached, Grant) and not review.dry_run:
            # The annotation alone gives no rights, and the grant waits until the namespace is known.
            self._grants.start(cached)
            role = self._grants.likely_role(cached)
            return self._untrusted(cached, review, Untrusted(role, FailureKind.PENDING, f"{problem}: {reason}"))
        return ignored_unknown(problem)

    def _might_refuse(self, possible: Decision, review: _Review) -> bool:
        """Whether this decision, if it turns out to be right, could end in a denial."""
        if isinstance(possible, Grant):
            is_judged = review.is_creation or not possible.binding.associates
            is_judged = is_judged and not review.metadata.being_deleted
            return self._rules.refuse_without_trust and possible.binding.edits_trust and is_judged
        return isinstance(possible, Refuse)

    async def _grant(self, grant: Grant, review: _Review, seconds: float) -> Answer:
        outcome: Outcome
        if review.dry_run:
            outcome = Trusted(self._grants.likely_role(grant), TrustSource.UNMANAGED)
        else:
            keeps = review.keeps_role(grant.binding)
            need = Need.CERTAIN if self._rules.refuse_without_trust and not keeps else Need.ANSWER
            outcome = await self._grants.obtain(grant, 0.0 if keeps else seconds, need)
        if not _is_of(grant, outcome):
            return await self._moved(review, outcome)
        return self._answered(grant, review, outcome)

    async def _moved(self, review: _Review, outcome: Outcome) -> Answer:
        """Answer by the binding that selects the namespace now: it was relabelled while the review waited."""
        account = review.account
        now = decide(account, self._namespaces.cache.cached(account.namespace), self._bindings)
        if not isinstance(now, Grant):
            return await self._as_decided(now, review, 0.0)
        if outcome.role not in now.binding.roles:
            outcome = Untrusted(self._grants.likely_role(now), FailureKind.PENDING, MOVED)
        return self._answered(now, review, outcome)

    def _answered(self, grant: Grant, review: _Review, outcome: Outcome) -> Answer:
        if isinstance(outcome, Untrusted):
            return self._untrusted(grant, review, outcome)
        return granted(grant, review.metadata, outcome, dry_run=review.dry_run)

    def _untrusted(self, grant: Grant, review: _Review, outcome: Untrusted) -> Answer:
        audit = audit_of(grant, outcome) | {"trust": outcome.kind.value, "reason": outcome.reason}
        keeps = review.keeps_role(grant.binding)
        if keeps and outcome.kind in {FailureKind.PENDING, FailureKind.LEFT_TO_LEADER}:
            return Answer(allowed=True, outcome="unchanged", audit=audit)
        if outcome.kind is FailureKind.LEFT_TO_LEADER and not self._rules.refuse_without_trust:
            return Answer(allowed=True, outcome=outcome.kind.value, audit=audit)
        self._warn_owner(grant, outcome)
        if self._rules.refuse_without_trust and review.gives(outcome.role, grant.binding):
            return refused_untrusted(grant, outcome, audit)
        label = "annotated_untrusted" if grant.binding.annotates else "not_associated"
        patch = [] if keeps else patch_of(grant, review.metadata, outcome)
        return Answer(allowed=True, outcome=label, patch=patch, warnings=warnings_of(grant, outcome), audit=audit)

    def _warn_owner(self, grant: Grant, outcome: Untrusted) -> None:
        subject = grant.subject
        self._events.warn(
            EventSubject("ServiceAccount", subject.namespace, subject.service_account),
            TRUST_PENDING,
            f"{lack(grant, outcome)}: {outcome.reason}",
        )


def _is_of(grant: Grant, outcome: Outcome) -> bool:
    """Whether the outcome is of the grant's binding, not of another that has selected the namespace since."""
    is_withdrawn = isinstance(outcome, Untrusted) and outcome.kind is FailureKind.WITHDRAWN
    return outcome.role in grant.binding.roles and not is_withdrawn
