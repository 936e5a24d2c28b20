"""Who may assume which role and why: what an auditor asks, answered from the snapshots alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.report.access_line import Access, AccessFinding
from webhook.cli.report.association_access import associated, associations_beside
from webhook.iam.pod_statement import SERVICE
from webhook.iam.statement import FIRST_OF_SETUP, NOBODY
from webhook.iam.statement_words import effect_of, pods_it_is_for, principals_of, whom_it_names
from webhook.iam.trust_policy import Place, canonical, is_for_nobody
from webhook.planning.snapshot import TrustedSubjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation

_FOR_NOBODY = "stands in the place of ours while nothing is trusted: IAM wants a statement"
_OUR_SIDS = re.compile(r"MxpIdentity[0-9a-f]{8}")


def accesses(
    installation: Installation,
    cluster: ClusterSnapshot,
    account: AccountSnapshot,
    issuers_that_exist: Mapping[str, bool | None],
) -> list[Access]:
    """Every control plane and every statement, by role and by place in its policy.

    `issuers_that_exist` says of OIDC providers' ARNs whether the account has them. Roles that were read although
    no binding names them are retired.
    """
    look = _Look(installation, cluster, account, TrustedSubjects(account, installation))
    grants = cluster.grants_due(installation)
    found = [line for grant in grants if not grant.binding.associates for line in _of_grant(grant, look)]
    told = {(line.role, line.who) for line in found}
    associating = [grant for grant in grants if grant.binding.associates]
    for grant in associating:
        found.extend(associated(grant, installation, account))
    found.extend(associations_beside(associating, installation, cluster, account))
    for role, policy in account.policies.items():
        found.extend(_of_our_statement(role, policy, look, told))
        found.extend(_of_pod_statements(role, policy, installation))
        found.extend(_of_other_statements(role, policy, installation, issuers_that_exist))
    return sorted(found, key=lambda line: (line.role, line.place.index if line.place else -1, line.who))


@dataclass(frozen=True, slots=True)
class _Look:
    """What lines are made from."""

    installation: Installation
    cluster: ClusterSnapshot
    account: AccountSnapshot
    trusted: TrustedSubjects


def provider_arns(account: AccountSnapshot) -> set[str]:
    """The OIDC providers that statements of ours, of any cluster, are for."""
    return {
        provider
        for policy in account.policies.values()
        for statement in policy.statements
        if _is_of_the_program(statement)
        for provider in principals_of(statement, "Federated")
    }


def _of_grant(grant: Grant, look: _Look) -> Iterator[Access]:
    """Where a control plane is trusted; where nowhere, the role that it should be trusted in."""
    who, issuer = str(grant.subject), look.installation.issuer.value
    bound = f"binding {grant.binding.name}"
    if not grant.binding.names_subjects:
        role = grant.annotated or grant.binding.roles_in_order(grant.subject)[0]
        why = f"{bound} only annotates: trust is somebody else's work"
        yield Access(role, who, AccessFinding.NOT_KNOWN, why, None, grant.subject.namespace, issuer)
        return
    lines = [line for role in grant.binding.roles for line in _of_grant_in(role, grant, bound, look)]
    if lines:
        yield from lines
        return
    role = grant.annotated or grant.binding.roles_in_order(grant.subject)[0]
    if role in look.account.unread:
        finding, why = AccessFinding.NOT_KNOWN, look.account.unread[role]
    else:
        finding, why = AccessFinding.WANTED_NOT_TRUSTED, f"{bound} selects it, and no statement lets it in"
    yield Access(role, who, finding, why, None, grant.subject.namespace, issuer)


def _of_grant_in(role: RoleArn, grant: Grant, bound: str, look: _Look) -> Iterator[Access]:
    policy = look.account.policies.get(role)
    if policy is None:
        return
    own, who = look.installation.own_in(role).without_pods, str(grant.subject)
    is_ours = look.trusted.lets_in(role, grant.subject)
    granting = _own_place(policy, own) if is_ours else policy.foreign_grant(own, grant.subject)
    denying = policy.denial(own, grant.subject)
    if denying is not None and (granting is not None or grant.annotated == role or len(grant.binding.roles) == 1):
        finding, place = AccessFinding.DENIED, denying
        why = f"{bound} selects it, and a Deny keeps it out whatever else is said"
    elif granting is not None and (doubtful := policy.possible_denial(own, grant.subject)) is not None:
        finding, place = AccessFinding.MAY_BE_DENIED, doubtful
        why = f"{bound} selects it, and a Deny may keep it out: only AWS knows what that asks about"
    elif granting is not None:
        finding, place = AccessFinding.AS_WANTED, granting
        why = bound if is_ours else f"{bound} selects it, and somebody else's statement lets it in"
    else:
        return
    yield Access(role, who, finding, why, place, grant.subject.namespace, own.issuer.value)


def _of_our_statement(
    role: RoleArn, policy: TrustPolicy, look: _Look, told: set[tuple[RoleArn, str]]
) -> Iterator[Access]:
    """Our statement where somebody has changed it, else those in it of whom nothing is told yet."""
    own = look.installation.own_in(role).without_pods
    if not policy.is_whole(own):
        for index, statement in enumerate(policy.statements):
            if own.owns(statement):
                why = f"our statement as somebody has left it, {effect_of(statement)}: the next pass puts it right"
                for who in whom_it_names(statement):
                    yield Access(
                        role, who, AccessFinding.CHANGED, why, Place(index, own.sid), None, own.issuer.value
                    )
        return
    place = _own_place(policy, own)
    if place is not None and is_for_nobody(policy.statements[place.index], own):
        yield Access(role, NOBODY, AccessFinding.AS_WANTED, _FOR_NOBODY, place, None, own.issuer.value)
    for subject in policy.subjects(own):
        if (role, str(subject)) not in told:
            finding, why = _judged(role, subject, look)
            yield Access(role, str(subject), finding, why, place, subject.namespace, own.issuer.value)


def _judged(role: RoleArn, subject: Subject, look: _Look) -> tuple[AccessFinding, str]:
    """What to think of a subject that our statement names and that no grant is for."""
    if not any(role in binding.roles for binding in look.installation.bindings):
        return AccessFinding.RETIRED_ROLE, "no binding names the role any more"
    cause = look.cluster.cause_to_leave(role, subject, look.installation, look.trusted)
    if cause is None:
        return AccessFinding.AS_WANTED, "it is on its way out, and may need its role until it is gone"
    return AccessFinding.TRUSTED_NOT_WANTED, cause.sentence


def _of_pod_statements(role: RoleArn, policy: TrustPolicy, installation: Installation) -> Iterator[Access]:
    """Our statements for the pods of bindings: as they are written, changed, or missing."""
    for one in installation.own_in(role).pods:
        statement = policy.pod_statement(one)
        if statement is None:
            why = f"our statement {one.sid} for the pods of {one.binding} is missing: the next pass writes it"
            yield Access(role, SERVICE, AccessFinding.WANTED_NOT_TRUSTED, why)
            continue
        place = Place(policy.statements.index(statement), one.sid)
        if policy.has_whole(one):
            finding, why = AccessFinding.POD_IDENTITY, f"binding {one.binding}: {pods_it_is_for(statement)}"
        else:
            finding = AccessFinding.CHANGED
            why = f"our statement as somebody has left it, {effect_of(statement)}: the next pass puts it right"
        for who in whom_it_names(statement):
            yield Access(role, who, finding, why, place)


def _of_other_statements(
    role: RoleArn, policy: TrustPolicy, installation: Installation, issuers_that_exist: Mapping[str, bool | None]
) -> Iterator[Access]:
    own = installation.own_in(role)
    for index, statement in enumerate(policy.statements):
        if own.owns(statement):
            continue
        place = Place(index, statement.get("Sid"))
        providers = principals_of(statement, "Federated")
        issuer = f"https://{providers[0].split(':oidc-provider/')[1]}" if _is_of_a_cluster(providers) else None
        finding, why = AccessFinding.OTHERS, effect_of(statement)
        if canonical(statement) == canonical(FIRST_OF_SETUP):
            why = f"{why}, to EKS too: the first statement of `setup`, no longer needed beside another"
        if _is_of_the_program(statement) and SERVICE in principals_of(statement, "Service"):
            finding, why = AccessFinding.POD_IDENTITY, pods_it_is_for(statement)
        elif _is_of_the_program(statement):
            finding, why = _of_another(providers, own.provider_arn, issuers_that_exist)
        for who in whom_it_names(statement):
            yield Access(role, who, finding, why, place, None, issuer)


def _of_another(
    providers: list[str], own_provider: str, issuers_that_exist: Mapping[str, bool | None]
) -> tuple[AccessFinding, str]:
    if providers == [own_provider]:
        return AccessFinding.OTHER_INSTALLATION, "this cluster's, of another installation of this program"
    if any(issuers_that_exist.get(provider) is False for provider in providers):
        return (
            AccessFinding.DEAD_ISSUER,
            "the account has no OIDC provider for this cluster any more, so that it lets nobody in",
        )
    return AccessFinding.OTHER_CLUSTER, "written by this program in another cluster"


def _own_place(policy: TrustPolicy, own: OwnStatement) -> Place | None:
    places = (Place(index, own.sid) for index, item in enumerate(policy.statements) if own.owns(item))
    return next(places, None)


def _is_of_the_program(statement: Statement) -> bool:
    return _OUR_SIDS.fullmatch(str(statement.get("Sid", ""))) is not None


def _is_of_a_cluster(providers: list[str]) -> bool:
    return len(providers) == 1 and ":oidc-provider/" in providers[0]
