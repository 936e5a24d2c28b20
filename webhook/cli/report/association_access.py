"""Who may assume a role by a Pod Identity association, and why: the part of the report that EKS answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.report.access_line import Access, AccessFinding
from webhook.podidentity.association import AssociationAction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.iam.pod_statement import PodStatement
    from webhook.iam.trust_policy import Place
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
    from webhook.podidentity.association import Association, Ownership

OURS = "ours"


def associated(grant: Grant, installation: Installation, account: AccountSnapshot) -> Iterator[Access]:
    """How a control plane of mode pod-identity stands with its role, and with another one if it has that."""
    owner, seen, role = installation.owner, account.associations, grant.binding.roles[0]
    issuer, bound = installation.issuer.value, f"binding {grant.binding.name}"
    if owner is None or seen is None or seen.unread or role not in account.policies:
        why = account.unread.get(role) or (seen.unread if seen else "") or "associations were not looked at"
        yield _line(role, grant.subject, AccessFinding.NOT_KNOWN, why, issuer)
        return
    found = seen.described.get(grant.subject)
    action = owner.action_for(found, role)
    if found is None:
        why = f"{bound} selects it, and it has no association"
        yield _line(role, grant.subject, AccessFinding.WANTED_NOT_ASSOCIATED, why, issuer)
    elif action in {AssociationAction.KEEP, AssociationAction.ACCEPT}:
        finding, why, place = _with(role, found, grant, installation, account)
        yield _line(role, grant.subject, finding, why, issuer, place, found, owner)
    else:
        is_conflict = action is AssociationAction.CONFLICT
        change = f"{found.change_from(role)}: the next passes put it right"
        why = owner.conflict_reason(found, role) if is_conflict else change
        yield _line(role, grant.subject, AccessFinding.WANTED_NOT_ASSOCIATED, why, issuer, None, found, owner)
        if (other := found.role_arn) is not None and other != role:
            finding = AccessFinding.CHANGED if owner.owns(found) else AccessFinding.ASSOCIATION_OF_OTHERS
            why = f"its association gives it this role, and {bound} wants {role}"
            yield _line(other, grant.subject, finding, why, issuer, None, found, owner)


def associations_beside(
    grants: Collection[Grant], installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot
) -> Iterator[Access]:
    """Associations that no grant is for: ours, and others' of roles that bindings name."""
    owner, seen = installation.owner, account.associations
    if owner is None or seen is None:
        return
    told, bound = (
        {grant.subject for grant in grants},
        {role.value for one in installation.bindings for role in one.roles},
    )
    for subject, found in seen.described.items():
        role = found.role_arn
        if subject in told or role is None or not (owner.owns(found) or found.role in bound):
            continue
        finding, why = AccessFinding.ASSOCIATION_OF_OTHERS, f"association {found.origin}; no binding is for it"
        if owner.owns(found):
            finding, why = _left_behind(found, installation, cluster)
        yield _line(role, subject, finding, why, installation.issuer.value, None, found, owner)


def _left_behind(
    found: Association, installation: Installation, cluster: ClusterSnapshot
) -> tuple[AccessFinding, str]:
    cause = cluster.cause_to_dissociate(found, installation)
    if cause is None:
        return AccessFinding.AS_WANTED, "it is on its way out, and may need its role until it is gone"
    return AccessFinding.ASSOCIATED_NOT_WANTED, cause.sentence


def _with(
    role: RoleArn, found: Association, grant: Grant, installation: Installation, account: AccountSnapshot
) -> tuple[AccessFinding, str, Place | None]:
    """What to think of an association that gives what is wanted: the role's trust decides, too."""
    policy, bound = account.policies[role], f"binding {grant.binding.name}"
    statement = _statement(grant, installation)
    claims = statement.claims_in(grant.subject.namespace) if statement else {}
    if (denying := policy.denial_of_pod(claims)) is not None:
        return AccessFinding.DENIED, f"{bound} selects it, and a Deny keeps it out whatever else is said", denying
    granting = policy.lets_pod_in(claims)
    if granting is None:
        why = f"{bound} selects it, and no statement lets EKS assume the role for its pods"
        return AccessFinding.WANTED_NOT_TRUSTED, why, None
    if (doubtful := policy.possible_denial_of_pod(claims)) is not None:
        why = f"{bound} selects it, and a Deny may keep it out: only AWS knows what that asks about"
        return AccessFinding.MAY_BE_DENIED, why, doubtful
    if installation.owner and installation.owner.owns(found):
        return AccessFinding.AS_WANTED, bound, granting
    return (
        AccessFinding.AS_WANTED,
        f"{bound} selects it, and an association {found.origin} gives it the role",
        granting,
    )


def _statement(grant: Grant, installation: Installation) -> PodStatement | None:
    return installation.own_in(grant.binding.roles[0]).for_pods_of(grant.binding.name)


def _line(  # noqa: PLR0913, PLR0917  what a line says
    role: RoleArn,
    subject: Subject,
    finding: AccessFinding,
    why: str,
    issuer: str,
    place: Place | None = None,
    found: Association | None = None,
    owner: Ownership | None = None,
) -> Access:
    return Access(
        role,
        str(subject),
        finding,
        why,
        place,
        subject.namespace,
        issuer,
        association=found.id if found else None,
        owner=_owner(found, owner) if found and owner else None,
    )


def _owner(found: Association, owner: Ownership) -> str:
    if owner.owns(found):
        return OURS
    return found.owner_arn or found.origin.removeprefix("of ")
