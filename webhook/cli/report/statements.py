"""Which principals may assume which role and why: all statements of trust policies, and the whole report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli.judgement import wider_than_wanted
from webhook.cli.report.access import Access, Accesses, AccessFinding
from webhook.cli.trust_statements import (
    effect_of,
    is_first,
    is_of_the_program,
    names_in,
    pods_allowed_by,
    principals_of,
)
from webhook.iam.statement import SERVICE
from webhook.iam.trust_policy import Place
from webhook.model.bindings import service_accounts
from webhook.model.names import Subject
from webhook.model.removal import RemovalReason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation

_GONE = {RemovalReason.NAMESPACE_GONE, RemovalReason.NAMESPACE_REPLACED, RemovalReason.ACCOUNT_GONE}
"""Why trust by an external statement is for no ServiceAccount that is there."""


def accesses(
    installation: Installation,
    cluster: ClusterSnapshot,
    account: AccountSnapshot,
    issuers_that_exist: Mapping[str, bool | None],
) -> list[Access]:
    """Every control plane and every statement, by role and by place in its policy.

    `issuers_that_exist` is whether the account has each OIDC provider, by ARN. Roles that were read although no
    binding names them are retired.
    """
    found = list(Accesses(installation, cluster, account).lines())
    for role, policy in account.policies.items():
        own = installation.own_in(role)
        found.extend(_of_changed_statement(role, policy, own.without_pods))
        found.extend(_of_pod_statements(role, policy, own))
        others = _of_other_statements(role, policy, own, issuers_that_exist)
        found.extend(_judged(others, wider_than_wanted(role, policy, installation), installation, cluster))
    return sorted(found, key=lambda line: (line.role, line.place.index if line.place else -1, line.principal))


def provider_arns(account: AccountSnapshot) -> set[str]:
    """The OIDC providers that statements of this program, of any cluster, are for."""
    return {
        provider
        for policy in account.policies.values()
        for statement in policy.statements
        if is_of_the_program(statement)
        for provider in principals_of(statement, "Federated")
    }


def _changed(statement: Statement) -> str:
    return f"our statement as it was changed externally, {effect_of(statement)}: the next pass repairs it"


def _of_changed_statement(role: RoleArn, policy: TrustPolicy, own: OwnStatement) -> Iterator[Access]:
    """Our statement where it is not as we write it."""
    if policy.is_whole(own):
        return
    for index, statement in enumerate(policy.statements):
        if own.owns(statement):
            place, why = Place(index, own.sid), _changed(statement)
            for principal in names_in(statement):
                yield Access(role, principal, AccessFinding.CHANGED, why, place, None, own.issuer.value)


def _of_pod_statements(role: RoleArn, policy: TrustPolicy, own: OwnStatement) -> Iterator[Access]:
    """Our statements for the pods of bindings: as they are written, changed, or missing."""
    for one in own.pods:
        statement = policy.pod_statement(one)
        if statement is None:
            why = f"our statement {one.sid} for the pods of {one.binding} is missing: the next pass writes it"
            yield Access(role, SERVICE, AccessFinding.WANTED_NOT_TRUSTED, why)
            continue
        place = Place(policy.statements.index(statement), one.sid)
        finding, why = AccessFinding.CHANGED, _changed(statement)
        if policy.has_whole(one):
            finding, why = AccessFinding.POD_IDENTITY, f"binding {one.binding}: {pods_allowed_by(statement)}"
        for principal in names_in(statement):
            yield Access(role, principal, finding, why, place)


def _of_other_statements(
    role: RoleArn, policy: TrustPolicy, own: OwnStatement, issuers_that_exist: Mapping[str, bool | None]
) -> Iterator[Access]:
    for index, statement in enumerate(policy.statements):
        if own.owns(statement):
            continue
        place = Place(index, statement.get("Sid"))
        providers = principals_of(statement, "Federated")
        is_of_a_cluster = len(providers) == 1 and ":oidc-provider/" in providers[0]
        issuer = f"https://{providers[0].split(':oidc-provider/')[1]}" if is_of_a_cluster else None
        finding, why = AccessFinding.EXTERNAL, effect_of(statement)
        if is_first(statement):
            why = f"{why}, to EKS too: the first statement of `setup`, no longer needed beside another"
        if is_of_the_program(statement) and SERVICE in principals_of(statement, "Service"):
            finding, why = AccessFinding.POD_IDENTITY, pods_allowed_by(statement)
        elif is_of_the_program(statement):
            finding, why = _of_another(providers, own.provider_arn, issuers_that_exist)
        for principal in names_in(statement):
            yield Access(role, principal, finding, why, place, None, issuer)


def _judged(
    lines: Iterator[Access], wide: Collection[Place], installation: Installation, cluster: ClusterSnapshot
) -> Iterator[Access]:
    """The same lines, where those of `wide` and those for what is gone are found to be wider than wanted."""
    bound = set(service_accounts(installation.bindings))
    for line in lines:
        if line.finding is not AccessFinding.EXTERNAL or line.place is None:
            yield line
            continue
        subject = Subject.parse(line.principal)
        reason = None
        if subject and subject.service_account in bound and line.issuer == installation.issuer.value:
            reason = cluster.removal_reason(line.role, subject, installation, None)
        if line.place in wide:
            why = f"{line.why}, to more than the ServiceAccounts that it names"
            yield replace(line, finding=AccessFinding.WIDE, why=why)
        elif reason in _GONE:
            yield replace(line, finding=AccessFinding.WIDE, why=f"{line.why}; {reason.sentence}")
        else:
            yield line


def _of_another(
    providers: list[str], own_provider: str, issuers_that_exist: Mapping[str, bool | None]
) -> tuple[AccessFinding, str]:
    if providers == [own_provider]:
        why = "this cluster's, of another installation of this program"
        return AccessFinding.OTHER_INSTALLATION, why
    if any(issuers_that_exist.get(provider) is False for provider in providers):
        why = "the account no longer has an OIDC provider for this cluster, so that it allows no subject"
        return AccessFinding.DEAD_ISSUER, why
    return AccessFinding.OTHER_CLUSTER, "written by this program in another cluster"
