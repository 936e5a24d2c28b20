"""Which of our statements are removed for good: of a cluster that is gone, or in a role no longer bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.cli.trust_statements import names_subjects, other_statements_for_pods, own_in, principals_of
from webhook.iam.statement import OwnStatement
from webhook.model.errors import InvalidNameError
from webhook.planning.binding_matches import Problem, ProblemKind
from webhook.planning.plan import Change, Plan, RoleChange, unread_roles

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn
    from webhook.planning.snapshot import AccountSnapshot, Installation


@dataclass(frozen=True, slots=True)
class GoneCluster:
    """A cluster that is gone, and the installation of this program in it. Its EKS name is in no issuer."""

    issuer: IssuerUrl
    installation: str
    arn: ClusterArn | None = None


def retire_issuer(gone: GoneCluster, installation: Installation, account: AccountSnapshot) -> Plan:
    """Remove what an installation of a cluster that is gone left in the bindings' roles.

    That is the statement of its issuer and, where its ARN is given, those for its pods. The statement for pods of
    any other cluster is a note: it may be the one that is gone.

    Raises InvalidNameError for this cluster itself, whose control planes would lose their access, and where all
    roles were read and none has such a statement: most likely something is mistyped.
    """
    for theirs, ours in ((gone.issuer, installation.issuer), (gone.arn, installation.eks)):
        if theirs is not None and theirs == ours:
            what = "issuer" if theirs is gone.issuer else "ARN"
            raise InvalidNameError(
                f"{theirs} is this cluster's own live {what}; only one of a cluster that is gone retires"
            )
    changes: list[RoleChange] = []
    notes: list[Problem] = []
    for role, policy in sorted(account.policies.items()):
        own = OwnStatement.for_role(role, gone.issuer, gone.installation)
        former: set[str] = set()
        for place, clusters in other_statements_for_pods(policy, own):
            if gone.arn is not None and clusters == {gone.arn.value}:
                former.add(place.sid or "")
            elif installation.eks is None or installation.eks.value not in clusters:
                named = ", ".join(sorted(clusters))
                notes.append(
                    _left(role, f"{place} is for pods of {named}: if that is gone, --cluster with its ARN")
                )
        own = replace(own, former=frozenset(former))
        if change := _removal(role, policy, own, f"its cluster {gone.issuer} is retired"):
            changes.append(change)
    if not changes and account.unread.keys() <= account.missing:
        raise InvalidNameError(_nothing_of(gone, installation, account))
    return Plan(tuple(changes), problems=tuple(unread_roles(account)), notes=tuple(notes))


def retire_role(
    role: RoleArn, installation: Installation, account: AccountSnapshot, former_bindings: Collection[str] = ()
) -> Plan:
    """Remove this installation's statements from a role that no binding names.

    A statement for pods has a Sid that follows from its binding's name, so bindings that the configuration no
    longer has are given. Another one for pods of this cluster is a note.

    Raises InvalidNameError while a binding names the role, because the next pass would write it again, and where
    there is no such role, or no statement of ours in it: most likely it is mistyped. `account` may show other
    roles to name then.
    """
    for binding in installation.bindings:
        if role in binding.roles:
            raise InvalidNameError(f"{role} is a role of binding {binding.name}; remove it from there first")
    if role in account.unread and role not in account.missing:
        return Plan(problems=tuple(problem for problem in unread_roles(account) if problem.role == role))
    policy = account.policies.get(role)
    own = own_in(role, installation, former_bindings)
    notes = [
        _left(
            role, f"{place} is for pods of this cluster: if a binding was removed, --former-binding with its name"
        )
        for place, clusters in (other_statements_for_pods(policy, own) if policy else ())
        if installation.eks is not None and installation.eks.value in clusters
    ]
    change = policy and _removal(role, policy, own, "no binding names the role")
    if not change and not notes:
        raise InvalidNameError(_nothing_in(role, installation, account))
    return Plan((change,) if change else (), notes=tuple(notes))


def _left(role: RoleArn, why: str) -> Problem:
    return Problem(ProblemKind.STATEMENT_LEFT, f"{why} removes it too", role=role)


def _nothing_of(gone: GoneCluster, installation: Installation, account: AccountSnapshot) -> str:
    issuer, name = gone.issuer, gone.installation
    if gone.arn is not None:
        return (
            f"no role of the bindings has a statement of {issuer}, installation {name}, or one for pods of "
            f"{gone.arn}, so nothing is changed: `mxp-identity report` shows what they have"
        )
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
        if one not in bound and names_subjects(policy, own_in(one, installation))
    ]
    why = f"{role} has no statement of this installation that names ServiceAccounts or is for their pods"
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
    if not names_subjects(policy, own):
        return None
    removed = tuple(Change(subject, why) for subject in sorted(policy.subjects(own)))
    return RoleChange(role, own, policy, policy, removed=removed)
