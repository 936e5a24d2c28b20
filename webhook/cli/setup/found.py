"""What the account has of what it should have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.account_calls import Document
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.model.oidc_provider import OidcProvider
    from webhook.podidentity.association import Association


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role that exists: its trust policy, and its inline policies by name."""

    trust: TrustPolicy
    policies: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class FoundAgent:
    """The agent of EKS Pod Identity in the cluster."""

    status: str | None
    """Of the add-on, as EKS has it; None where there is none."""
    is_built_in: bool = False
    """Whether the cluster has it without an add-on (EKS Auto Mode)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of the prerequisites."""

    provider: OidcProvider
    roles: Mapping[RoleArn, FoundRole] = field(default_factory=dict)
    agent: FoundAgent = FoundAgent(None)
    association: Association | None = None
    """That of the webhook's own ServiceAccount."""

    def policy(self, role: RoleArn, name: str) -> Document | None:
        """A role's inline policy of that name."""
        return self.roles[role].policies.get(name) if role in self.roles else None
