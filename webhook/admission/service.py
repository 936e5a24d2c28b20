"""The flow of one review: look up the namespace, decide, have the subject trusted, answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.admission.namespaces import NamespaceUnknownError
from webhook.admission.reviews import Answer
from webhook.domain.decisions import Account, Decision, Grant, Ignore, IgnoreReason, Refuse, decide
from webhook.domain.names import ROLE_ARN_ANNOTATION
from webhook.domain.patches import annotation_patch
from webhook.telemetry.events import TRUST_PENDING, EventSubject
from webhook.trust.outcomes import Outcome, Proof, Trusted, Untrusted

if TYPE_CHECKING:
    from webhook.admission.namespaces import LiveNamespaces
    from webhook.admission.reviews import Metadata, Request
    from webhook.domain.bindings import Binding
    from webhook.domain.names import RoleArn
    from webhook.domain.patches import Patch
    from webhook.telemetry.events import Events
    from webhook.trust.grants import Grants

log = structlog.get_logger(__name__)

_FORBIDDEN = 403
_UNAVAILABLE = 503
_REVIEWED_OPERATIONS = frozenset({"CREATE", "UPDATE"})
# What a namespace newer than the watch cache could change.
_WORTH_A_LOOK = frozenset(
    {
        IgnoreReason.NO_SUCH_NAMESPACE,
        IgnoreReason.NAMESPACE_TERMINATING,
        IgnoreReason.NOT_BOUND,
        IgnoreReason.FOREIGN_ROLE,
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient an admission is, and what follows when patience was not enough."""

    trust_budget: float
    """Seconds that a review waits for AWS at most."""
    refuse_without_trust: bool
    """Whether a ServiceAccount that AWS does not trust in time is refused."""


class AdmissionService:
    """Answers reviews of ServiceAccounts."""

    def __init__(
        self,
        bindings: tuple[Binding, ...],
        namespaces: LiveNamespaces,
        grants: Grants,
        events: Events,
        policy: Policy,
    ) -> None:
        self._bindings = bindings
        self._names = frozenset(binding.service_account for binding in bindings)
        self._namespaces = namespaces
        self._grants = grants
        self._events = events
        self._policy = policy

    async def answer(self, request: Request, seconds: float) -> Answer:
        """Answer one review within `seconds`. Raises InvalidReviewError for an object that is not one."""
        if not request.is_service_account or request.operation not in _REVIEWED_OPERATIONS:
            return Answer(allowed=True, outcome="not_reviewed")
        metadata = request.reviewed()
        account = Account(
            namespace=request.namespace,
            name=metadata.name or request.name,
            role_annotation=metadata.role_annotation,
            being_deleted=metadata.being_deleted,
        )
        if account.name not in self._names:
            return Answer(allowed=True, outcome=IgnoreReason.NOT_BOUND.value)
        started = asyncio.get_running_loop().time()
        budget = min(self._policy.trust_budget, seconds)
        decision = await self._decide(account, budget)
        match decision:
            case Ignore():
                return _ignored(decision)
            case Refuse():
                return Answer(allowed=False, outcome="refused", refusal=decision.reason, status=_FORBIDDEN)
            case Grant():
                left = budget - (asyncio.get_running_loop().time() - started)
                return await self._grant(decision, metadata, dry_run=request.dry_run, seconds=left)

    async def _decide(self, account: Account, seconds: float) -> Decision:
        """Decide by the watch cache; nobody is turned away before the API server itself was asked."""
        decision = decide(account, self._namespaces.cached(account.namespace), self._bindings)
        if isinstance(decision, Ignore) and decision.reason in _WORTH_A_LOOK:
            try:
                namespace = await self._namespaces.fetch(account.namespace, seconds)
            except NamespaceUnknownError as error:
                log.warning("namespace_unknown", namespace=account.namespace, reason=str(error))
                return Ignore(
                    IgnoreReason.NO_SUCH_NAMESPACE,
                    f"namespace {account.namespace} could not be looked up: the role annotation follows "
                    "later, and pods started before it need a restart",
                )
            decision = decide(account, namespace, self._bindings)
        return decision

    async def _grant(self, grant: Grant, metadata: Metadata, *, dry_run: bool, seconds: float) -> Answer:
        outcome: Outcome
        if dry_run:
            outcome = Trusted(self._grants.likely_role(grant), Proof.UNMANAGED)
        else:
            outcome = await self._grants.obtain(grant, seconds)
        audit = {"binding": grant.binding.name, "role": outcome.role.value}
        annotates = grant.binding.annotates
        patch = _patch(metadata, outcome.role) if annotates else []
        if isinstance(outcome, Trusted):
            audit["trust"] = "not-asked" if dry_run else outcome.label
            said = "dry_run" if dry_run else f"granted_{outcome.label}"
            warnings = [outcome.doubt] if outcome.doubt else []
            return Answer(allowed=True, outcome=said, patch=patch, warnings=warnings, audit=audit)
        audit |= {"trust": outcome.kind.value, "reason": outcome.reason}
        self._tell_the_owner(grant, outcome)
        if self._policy.refuse_without_trust:
            refusal = f"{_lack(grant, outcome)}, try again: {outcome.reason}"
            return Answer(
                allowed=False, outcome="refused_untrusted", refusal=refusal, status=_UNAVAILABLE, audit=audit
            )
        said = "annotated_untrusted" if annotates else "not_associated"
        return Answer(allowed=True, outcome=said, patch=patch, warnings=_warnings(grant, outcome), audit=audit)

    def _tell_the_owner(self, grant: Grant, outcome: Untrusted) -> None:
        subject = grant.subject
        self._events.warn(
            EventSubject("ServiceAccount", subject.namespace, subject.service_account),
            TRUST_PENDING,
            f"{_lack(grant, outcome)}: {outcome.reason}",
        )


def _patch(metadata: Metadata, role: RoleArn) -> Patch:
    """The annotations that are not known stay as they are: only additions are sent."""
    known = {} if metadata.role_annotation is None else {ROLE_ARN_ANNOTATION: metadata.role_annotation}
    return annotation_patch(known if metadata.has_annotations else None, ROLE_ARN_ANNOTATION, role.value)


def _ignored(decision: Ignore) -> Answer:
    return Answer(
        allowed=True,
        outcome=decision.reason.value,
        warnings=[decision.warning] if decision.warning else [],
        audit={"ignored": decision.reason.value},
    )


def _lack(grant: Grant, outcome: Untrusted) -> str:
    if grant.binding.associates:
        return f"this ServiceAccount is not associated with {outcome.role} yet"
    return f"{outcome.role} does not trust this ServiceAccount yet"


def _warnings(grant: Grant, outcome: Untrusted) -> list[str]:
    """Two, because one with AWS's own words would be cut: what is the matter, and why."""
    if outcome.kind.is_final:
        heal = "a person has to act"
    elif grant.binding.associates:
        heal = "it is tried again until it is, and pods that started before need a restart"
    else:
        heal = "it is tried again until it does, no restart is needed"
    return [f"{_lack(grant, outcome)}; {heal}", f"reason: {outcome.reason}"]
