"""What was found at one moment: the cluster's side, the account's side, and whose installation looks at them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webhook.domain.statement import OwnStatement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.domain.bindings import Binding
    from webhook.domain.decisions import Account, LiveNamespace
    from webhook.domain.names import IssuerUrl, RoleArn
    from webhook.domain.trust_policy import TrustPolicy
    from webhook.domain.wanted import AccountKey


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of the program in one cluster."""

    name: str
    issuer: IssuerUrl
    bindings: tuple[Binding, ...]

    def own_in(self, role: RoleArn) -> OwnStatement:
        """Its statement in `role`."""
        return OwnStatement.for_role(role, self.issuer, self.name)


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The namespaces by name, and the ServiceAccounts of bound names that were there."""

    namespaces: Mapping[str, LiveNamespace]
    accounts: Mapping[AccountKey, Account]


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The trust policies that were read, and why others were not."""

    policies: Mapping[RoleArn, TrustPolicy]
    unread: Mapping[RoleArn, str] = field(default_factory=dict)
    """Roles whose policy could not be read: what AWS said, in a sentence."""
    quota: int = 0
    """Characters that a trust policy may have."""
