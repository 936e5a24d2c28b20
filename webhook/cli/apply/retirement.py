"""Which of our statements are removed for good: of a cluster that is gone, or in a role no longer bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.statement_words import principals_of
from webhook.iam.statement import OwnStatement
from webhook.model.errors import InvalidNameError
from webhook.planning.plan import Change, Plan, RoleChange, unread_roles

if TYPE_CHECKING:
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import IssuerUrl, RoleArn
    from webhook.planning.snapshot import AccountSnapshot, Installation


def retire_issuer(issuer: IssuerUrl, name: str, installation: Installation, account: AccountSnapshot) -> Plan:
    """Remove the statement that the installation `name` of the cluster `issuer` left in the bindings' roles.

    Raises InvalidNameError for this cluster's own issuer, whose control planes would lose their access, and where
    all roles were read and none has such a statement: most likely the issuer or the installation is mistyped.
    """
    if issuer == installation.issuer:
        raise InvalidNameError(
            f"{issuer} is this cluster's own live issuer; only one of a cluster that is gone retires"
        )
    changes = [
        _removal(role, policy, OwnStatement.for_role(role, issuer, name), f"its cluster {issuer} is retired")
        for role, policy in sorted(account.policies.items())
    ]
    found = tuple(change for change in changes if change)
    if not found and account.unread.keys() <= account.missing:
        raise InvalidNameError(_nothing_of(issuer, name, installation, account))
    return Plan(found, problems=tuple(unread_roles(account)))


def retire_role(role: RoleArn, installation: Installation, account: AccountSnapshot) -> Plan:
    """Remove this installation's statement from a role that no binding names.

    Raises InvalidNameError while one does, because the next pass would write it again, and where there is no such
    role, or no statement of ours in it: most likely it is mistyped. `account` may show other roles to name then.
    """
    for binding in installation.bindings:
        if role in binding.roles:
            raise InvalidNameError(f"{role} is a role of binding {binding.name}; remove it from there first")
    if role in account.unread and role not in account.missing:
        return Plan(problems=tuple(problem for problem in unread_roles(account) if problem.role == role))
    policy = account.policies.get(role)
    change = policy and _removal(role, policy, installation.own_in(role), "no binding names the role")
    if not change:
        raise InvalidNameError(_nothing_in(role, installation, account))
    return Plan((change,))


def _nothing_of(issuer: IssuerUrl, name: str, installation: Installation, account: AccountSnapshot) -> str:
    others = _issuers(account) - {installation.issuer.value}
    if issuer.value in others:
        return (
            f"roles of the bindings name {issuer}, but not in a statement of installation {name}, so nothing is "
            "changed: `mxp-identity report` shows their owners; --installation takes another name"
        )
    return (
        f"no role of the bindings names {issuer} in its trust policy, so nothing is changed; issuers of other "
        f"clusters that they name: {', '.join(sorted(others)) or 'none'}"
    )


def _nothing_in(role: RoleArn, installation: Installation, account: AccountSnapshot) -> str:
    bound = {one for binding in installation.bindings for one in binding.roles}
    others = [
        str(one)
        for one, policy in sorted(account.policies.items())
        if one not in bound and policy.names_subjects(installation.own_in(one))
    ]
    why = f"{role} has no statement of this installation that names ServiceAccounts"
    if role in account.missing:
        why = f"there is no role {role} ({account.unread[role]})"
    return (
        f"{why}, so nothing is changed; roles known to have one although no binding names them: "
        f"{', '.join(others) or 'none'}"
    )


def _issuers(account: AccountSnapshot) -> set[str]:
    """The issuers that the trust policies name, in our statements and external ones."""
    return {
        f"https://{issuer}"
        for policy in account.policies.values()
        for statement in policy.statements
        for provider in principals_of(statement, "Federated")
        if (issuer := provider.partition(":oidc-provider/")[2])
    }


def _removal(role: RoleArn, policy: TrustPolicy, own: OwnStatement, why: str) -> RoleChange | None:
    if not policy.names_subjects(own):
        return None
    removed = tuple(Change(subject, why) for subject in sorted(policy.subjects(own)))
    return RoleChange(role, own, policy, policy, removed=removed)
