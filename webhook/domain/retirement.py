"""Taking our statement out for good: that of a cluster which is gone, or out of a role no longer bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.domain.errors import InvalidNameError
from webhook.domain.plan import Change, Plan, RoleChange, unread_roles
from webhook.domain.statement import OwnStatement

if TYPE_CHECKING:
    from webhook.domain.names import IssuerUrl, RoleArn
    from webhook.domain.snapshot import AccountSnapshot, Installation
    from webhook.domain.trust_policy import TrustPolicy


def retire_issuer(issuer: IssuerUrl, name: str, installation: Installation, account: AccountSnapshot) -> Plan:
    """Remove the statement that the installation `name` of the cluster `issuer` left in the bindings' roles.

    Raises InvalidNameError for this cluster's own issuer: its control planes would lose their access.
    """
    if issuer == installation.issuer:
        raise InvalidNameError(
            f"{issuer} is this cluster's own live issuer; only one of a cluster that is gone retires"
        )
    changes = [
        _removal(role, policy, OwnStatement.for_role(role, issuer, name), f"its cluster {issuer} is retired")
        for role, policy in sorted(account.policies.items())
    ]
    return Plan(tuple(change for change in changes if change), problems=tuple(unread_roles(account)))


def retire_role(role: RoleArn, installation: Installation, account: AccountSnapshot) -> Plan:
    """Remove this installation's statement from a role that no binding names.

    Raises InvalidNameError while one does: the next pass would write it again.
    """
    for binding in installation.bindings:
        if role in binding.roles:
            raise InvalidNameError(f"{role} is a role of binding {binding.name}; remove it from there first")
    if role not in account.policies:
        return Plan(problems=tuple(unread_roles(account)))
    change = _removal(
        role, account.policies[role], installation.own_in(role), "no binding names the role any more"
    )
    return Plan((change,) if change else ())


def _removal(role: RoleArn, policy: TrustPolicy, own: OwnStatement, why: str) -> RoleChange | None:
    if not any(own.owns(statement) for statement in policy.statements):
        return None
    removed = tuple(Change(subject, why) for subject in sorted(policy.subjects(own)))
    return RoleChange(role, own, policy, policy, removed=removed)
