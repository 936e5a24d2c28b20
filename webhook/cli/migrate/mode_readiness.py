"""How far each way, IRSA and Pod Identity, is there for a ServiceAccount, by what cluster and account show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from webhook.cli.judgement import judge_trust
from webhook.cli.migrate.rules import ModeReadiness
from webhook.iam.external import denial_of_pods, effects_on_pod
from webhook.planning.snapshot import TrustedSubjects
from webhook.podidentity.association import AssociationAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.judgement import Trust
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, TrustPolicy
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, Installation
    from webhook.podidentity.association import Association, Ownership


@dataclass(frozen=True)
class IrsaReadiness:
    """What there is of IRSA. `problems` are why some ServiceAccounts cannot be trusted."""

    installation: Installation
    account: AccountSnapshot
    problems: Mapping[Subject, str]

    @cached_property
    def _trusted(self) -> TrustedSubjects:
        return TrustedSubjects(self.account, self.installation)

    def as_new(self, grant: Grant, *, has_account: bool) -> ModeReadiness:
        """As the new way; where there is no ServiceAccount yet, it is annotated as it is created."""
        roles = grant.binding.roles
        trusts = {role: self._trust(role, grant.subject) for role in roles if role in self.account.policies}
        certain = {role for role, one in trusts.items() if one.is_certain}
        if grant.annotated in certain if has_account else certain:
            return ModeReadiness(works=True)
        doubts = (
            _denial("may deny", place, role)
            for role, one in trusts.items()
            if one.allowed_by and not one.denied_by and (place := one.may_be_denied_by)
        )
        return ModeReadiness(trouble=self.problems.get(grant.subject) or self._unread(roles) or next(doubts, ""))

    def as_old(self, grant: Grant) -> ModeReadiness:
        """As the old way: the annotation, where it names a role of the binding, and our statements."""
        roles = grant.binding.roles
        is_ours = grant.annotated is not None or any(self._names(role, grant.subject) for role in roles)
        return ModeReadiness(is_ours=is_ours, trouble=self._unread(roles))

    def _trust(self, role: RoleArn, subject: Subject) -> Trust:
        policy, own = self.account.policies[role], self.installation.own_in(role)
        return judge_trust(policy, own, subject, by_own=self._trusted.lets_in(role, subject))

    def _names(self, role: RoleArn, subject: Subject) -> bool:
        policy = self.account.policies.get(role)
        return policy is not None and subject in policy.subjects(self.installation.own_in(role))

    def _unread(self, roles: tuple[RoleArn, ...]) -> str:
        return next((f"{role}: {why}" for role in roles if (why := self.account.unread.get(role))), "")


@dataclass(frozen=True, slots=True)
class PodIdentityReadiness:
    """What there is of Pod Identity with one role. `own` are our statements in it, with the one for pods."""

    role: RoleArn
    own: OwnStatement
    owner: Ownership
    account: AccountSnapshot

    def as_new(self, found: Association | None) -> ModeReadiness:
        """As the new way, by the ServiceAccount's association."""
        policy = self.account.policies.get(self.role)
        if policy is None:
            return ModeReadiness(trouble=f"{self.role}: {self.account.unread.get(self.role, 'was not read')}")
        if (place := denial_of_pods(policy, self.own)) is not None:
            return ModeReadiness(trouble=_denial("denies", place, self.role))
        action = self.owner.action_for(found, self.role)
        if found is not None and action is AssociationAction.CONFLICT:
            return ModeReadiness(trouble=self.owner.conflict_reason(found, self.role))
        if found is not None and (place := self._possible_denial(policy, found.subject)) is not None:
            return ModeReadiness(trouble=_denial("may deny", place, self.role))
        return ModeReadiness(
            works=action in {AssociationAction.KEEP, AssociationAction.ACCEPT} and policy.allows_pods(self.own)
        )

    def _possible_denial(self, policy: TrustPolicy, subject: Subject) -> Place | None:
        ours = (one for one in self.own.pods if one.service_account == subject.service_account)
        places = (effects_on_pod(policy, one.claims_in(subject.namespace)).possible_denial for one in ours)
        return next((place for place in places if place), None)

    def as_old(self, found: Association | None) -> ModeReadiness:
        """As the old way: EKS prefers an association, managed or external."""
        if found is None:
            return ModeReadiness()
        if self.owner.owns(found):
            return ModeReadiness(is_ours=True)
        return ModeReadiness(
            trouble=f"association {found.id} {found.origin} keeps its pods on Pod Identity: delete it"
        )


def _denial(verb: str, place: Place, role: RoleArn) -> str:
    return f"{place} of the trust policy of {role} {verb} it: change that statement"
