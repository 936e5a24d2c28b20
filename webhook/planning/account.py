"""The account's side: trust policies of roles, each read once, and OIDC providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import InvalidPolicyError
from webhook.planning.snapshot import AccountSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.iam.ports import TrustPolicies
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn


async def look_at_roles(
    policies: TrustPolicies, roles: Collection[RoleArn], progress: Callable[[str], None]
) -> AccountSnapshot:
    """The trust policies of `roles` and the quota (iam:GetRole, iam:GetAccountSummary).

    A role that cannot be read raises nothing. AWS being out of reach altogether does, and so do
    credentials that are none: AwsError.
    """
    found: dict[RoleArn, TrustPolicy] = {}
    unread: dict[RoleArn, str] = {}
    missing: set[RoleArn] = set()
    quota = await policies.quota() if roles else 0

    async def look_at(role: RoleArn) -> None:
        try:
            found[role] = await policies.read(role)
        except AwsError as error:
            if error.kind.is_no_answer:
                raise
            unread[role] = str(error)
            if error.kind is FailureKind.NO_SUCH_ROLE:
                missing.add(role)
        except InvalidPolicyError as error:
            unread[role] = str(error)
        progress(f"read {len(found) + len(unread)} of {len(roles)} roles")

    await asyncio.gather(*(look_at(role) for role in sorted(roles)))
    return AccountSnapshot(found, unread, quota, frozenset(missing))
