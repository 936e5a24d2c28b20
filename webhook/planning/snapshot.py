"""What was found at one moment: the cluster's side, the account's side, and the installation that reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webhook.iam.external import ExternalStatements
from webhook.iam.statement import OwnStatement, pod_statements
from webhook.model.decisions import wanted_grants
from webhook.model.removal import removal_reason
from webhook.podidentity.association import Ownership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account, AccountKey, Grant, LiveNamespace
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn, Subject
    from webhook.model.removal import RemovalReason
    from webhook.podidentity.association import FoundAssociations


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of the program in one cluster."""

    name: str
    issuer: IssuerUrl
    bindings: tuple[Binding, ...]
    grace: float = 600.0
    """Seconds for which a new namespace is trusted before its ServiceAccount is there."""
    eks: ClusterArn | None = None
    """The cluster as EKS knows it; None where no binding is in mode pod-identity."""

    def own_in(self, role: RoleArn) -> OwnStatement:
        """Its statements in `role`."""
        pods = pod_statements(role, self.bindings, self.eks, self.name) if self.eks else ()
        return OwnStatement.for_role(role, self.issuer, self.name, pods)

    @property
    def owner(self) -> Ownership | None:
        """By which tags its associations are known, where it makes any."""
        return Ownership(self.eks, self.name) if self.eks else None


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The namespaces by name, and the ServiceAccounts of bound names that were there."""

    namespaces: Mapping[str, LiveNamespace]
    accounts: Mapping[AccountKey, Account]
    at: float = 0.0
    """When it was read, in seconds since 1970."""

    def account(self, subject: Subject) -> Account | None:
        """The ServiceAccount, or None where there is none."""
        return self.accounts.get((subject.namespace, subject.service_account))

    def is_young(self, namespace: str, grace: float) -> bool:
        """Whether a namespace is so new that its ServiceAccount may still come."""
        found = self.namespaces.get(namespace)
        return found is not None and self.at - found.created < grace

    def grants_due(self, installation: Installation) -> list[Grant]:
        """The grants of ServiceAccounts that are there or may still come."""
        grants = wanted_grants(self.namespaces.values(), self.accounts, installation.bindings)
        return [
            grant
            for grant in grants
            if self.account(grant.subject) or self.is_young(grant.subject.namespace, installation.grace)
        ]

    def removal_reason(
        self, role: RoleArn | None, subject: Subject, installation: Installation, trusted: TrustedSubjects | None
    ) -> RemovalReason | None:
        """Why `subject` does not keep `role`, or None where it does. `trusted` is None for an association."""
        return removal_reason(
            role,
            subject,
            (self.namespaces.get(subject.namespace), self.account(subject)),
            installation.bindings,
            associated=trusted is None,
            may_still_come=self.is_young(subject.namespace, installation.grace),
            trusted_by=lambda other: trusted is not None and trusted.trusts(other, subject),
        )


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The trust policies that were read, and why others were not."""

    policies: Mapping[RoleArn, TrustPolicy]
    unread: Mapping[RoleArn, str] = field(default_factory=dict)
    """Roles whose policy could not be read: the error of AWS, in a sentence."""
    quota: int = 0
    """Characters that a trust policy may have."""
    missing: frozenset[RoleArn] = frozenset()
    """Those of the unread that the account does not have."""
    associations: FoundAssociations | None = None
    """None where they were not read: no binding is in mode pod-identity, or it was not asked for."""


class TrustedSubjects:
    """The subjects that our statements in an account's roles name, worked out once."""

    def __init__(self, account: AccountSnapshot, installation: Installation) -> None:
        policies = {role: (policy, installation.own_in(role)) for role, policy in account.policies.items()}
        self._external = {role: ExternalStatements(policy, own) for role, (policy, own) in policies.items()}
        self._named = {role: policy.subjects(own) for role, (policy, own) in policies.items()}
        self._whole = {role: policy.is_whole(own.without_pods) for role, (policy, own) in policies.items()}

    def trusts(self, role: RoleArn, subject: Subject) -> bool:
        """Whether our statement in `role` names `subject`, and no Deny applies to it."""
        return subject in self._named.get(role, ()) and self._external[role].effects_on(subject).denial is None

    def lets_in(self, role: RoleArn, subject: Subject) -> bool:
        """Whether our statement names it and is as we write it; a Deny may still apply to it."""
        return subject in self._named.get(role, ()) and self._whole[role]
