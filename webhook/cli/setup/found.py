"""What an account has of the blueprint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.setup.documents import Document
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.model.oidc_provider import OidcProvider

BUCKET_POLICY = "backup-bucket"
OWN_POLICY = "trust-policies"
"""Names of the inline policies."""


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role that is there: its trust policy, and its inline policies by name."""

    trust: TrustPolicy
    policies: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of it."""

    provider: OidcProvider
    roles: Mapping[RoleArn, FoundRole] = field(default_factory=dict)

    def policy(self, role: RoleArn, name: str) -> Document | None:
        """A role's inline policy of that name."""
        return self.roles[role].policies.get(name) if role in self.roles else None
