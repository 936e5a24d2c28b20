"""How far each way, IRSA and Pod Identity, is there for a ServiceAccount, by what cluster and account show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.migrate.rules import ModeReadiness
from webhook.planning.snapshot import TrustedSubjects
from webhook.podidentity.association import AssociationAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, TrustPolicy
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, Installation
    from webhook.podidentity.association import Association, Ownership


class IrsaReadiness:
    """What there is of IRSA. `problems` say why some ServiceAccounts cannot be trusted."""

    def __init__(
        self, installation: Installation, account: AccountSnapshot, problems: Mapping[Subject, str]
    ) -> None:
        self._installation = installation
        self._account = account
        self._problems = problems
        self._trusted = TrustedSubjects(account, installation)

    def as_new(self, grant: Grant, *, has_account: bool) -> ModeReadiness:
        """As the way to go to; where there is no ServiceAccount yet, it is annotated as it is created."""
        subject, roles = grant.subject, grant.binding.roles
        letting = {role for role in roles if self._lets_in(role, subject)}
        certain = {role for role in letting if self._doubt(role, subject) is None}
        works = grant.annotated in certain if has_account else bool(certain)
        if works:
            return ModeReadiness(works=True)
        doubts = (self._doubt(role, subject) for role in roles if role in letting)
        doubt = next((doubt for doubt in doubts if doubt), "")
        return ModeReadiness(trouble=self._problems.get(subject) or self._unread(roles) or doubt)

    def as_old(self, grant: Grant) -> ModeReadiness:
        """As the way to come from: the annotation, where it names a role of the binding, and our statements."""
        roles = grant.binding.roles
        is_ours = grant.annotated is not None or any(self._names(role, grant.subject) for role in roles)
        return ModeReadiness(is_ours=is_ours, trouble=self._unread(roles))

    def _lets_in(self, role: RoleArn, subject: Subject) -> bool:
        policy, own = self._account.policies.get(role), self._installation.own_in(role)
        if policy is None or policy.denial(own, subject) is not None:
            return False
        return self._trusted.lets_in(role, subject) or policy.foreign_grant(own, subject) is not None

    def _doubt(self, role: RoleArn, subject: Subject) -> str | None:
        place = self._account.policies[role].possible_denial(self._installation.own_in(role), subject)
        return f"{place} of the trust policy of {role} may deny it: change that statement" if place else None

    def _names(self, role: RoleArn, subject: Subject) -> bool:
        policy = self._account.policies.get(role)
        return policy is not None and subject in policy.subjects(self._installation.own_in(role))

    def _unread(self, roles: tuple[RoleArn, ...]) -> str:
        return next((f"{role}: {why}" for role in roles if (why := self._account.unread.get(role))), "")


@dataclass(frozen=True, slots=True)
class PodIdentityReadiness:
    """What there is of Pod Identity with one role. `own` is what is ours in it, with the statement for pods."""

    role: RoleArn
    own: OwnStatement
    owner: Ownership
    account: AccountSnapshot

    def as_new(self, found: Association | None) -> ModeReadiness:
        """As the way to go to, by the ServiceAccount's association."""
        policy = self.account.policies.get(self.role)
        if policy is None:
            return ModeReadiness(trouble=f"{self.role}: {self.account.unread.get(self.role, 'was not read')}")
        if (place := policy.denial_of_pods(self.own)) is not None:
            return ModeReadiness(
                trouble=f"{place} of the trust policy of {self.role} denies it: change that statement"
            )
        action = self.owner.action_for(found, self.role)
        if found is not None and action is AssociationAction.CONFLICT:
            return ModeReadiness(trouble=self.owner.conflict_reason(found, self.role))
        if found is not None and (place := self._possible_denial(policy, found.subject)) is not None:
            return ModeReadiness(
                trouble=f"{place} of the trust policy of {self.role} may deny it: change that statement"
            )
        return ModeReadiness(
            works=action in {AssociationAction.KEEP, AssociationAction.ACCEPT} and policy.lets_pods_in(self.own)
        )

    def _possible_denial(self, policy: TrustPolicy, subject: Subject) -> Place | None:
        ours = (one for one in self.own.pods if one.service_account == subject.service_account)
        places = (policy.possible_denial_of_pod(one.claims_in(subject.namespace)) for one in ours)
        return next((place for place in places if place), None)

    def as_old(self, found: Association | None) -> ModeReadiness:
        """As the way to come from: EKS prefers an association, whoever made it."""
        if found is None:
            return ModeReadiness()
        if self.owner.owns(found):
            return ModeReadiness(is_ours=True)
        whose = f"of add-on {found.owner_arn}" if found.owner_arn else "that somebody else made"
        return ModeReadiness(trouble=f"association {found.id} {whose} keeps its pods on Pod Identity: delete it")
