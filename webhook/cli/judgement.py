"""Whether a role's trust policy allows a ServiceAccount: judged here, shown by verify, report and migrate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.iam.external import ExternalStatements, effects_on_pod
from webhook.iam.trust_policy import Place
from webhook.model.bindings import trusted_roles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import Installation


@dataclass(frozen=True, slots=True)
class Trust:
    """The statements of one policy that decide about one ServiceAccount; a Deny wins."""

    allowed_by: Place | None
    denied_by: Place | None
    may_be_denied_by: Place | None
    """A Deny whose conditions only AWS can evaluate."""
    by_own: bool = False
    """Whether it is our statement that allows it."""

    @property
    def is_certain(self) -> bool:
        """Whether it is allowed, and nothing denies it or may deny it."""
        return self.allowed_by is not None and self.denied_by is None and self.may_be_denied_by is None


def judge_trust(policy: TrustPolicy, own: OwnStatement, subject: Subject, *, by_own: bool) -> Trust:
    """By its own token. `by_own` is whether our statement, unchanged, names it (`TrustedSubjects.lets_in`)."""
    effects = policy.effects_on(own, subject)
    allowed_by = own_place(policy, own) if by_own else effects.grant
    return Trust(allowed_by, effects.denial, effects.possible_denial, by_own)


def judge_pod_trust(policy: TrustPolicy, claims: Mapping[str, str]) -> Trust:
    """By EKS for its pods, whose session tags are `claims` (`PodStatement.claims_in`)."""
    effects = effects_on_pod(policy, claims)
    return Trust(effects.grant, effects.denial, effects.possible_denial)


def own_place(policy: TrustPolicy, own: OwnStatement) -> Place | None:
    """Where our statement is, changed or not."""
    places = (Place(index, own.sid) for index, item in enumerate(policy.statements) if own.owns(item))
    return next(places, None)


def wider_than_wanted(role: RoleArn, policy: TrustPolicy, installation: Installation) -> list[Place]:
    """Its statements that allow more than they name.

    None in a role that no binding lists, and none where a binding in mode annotate does: it relies on such trust.
    """
    bindings = installation.bindings
    relies = any(role in binding.roles for binding in bindings if not binding.edits_trust)
    if relies or role not in trusted_roles(bindings):
        return []
    return ExternalStatements(policy, installation.own_in(role)).wide()
