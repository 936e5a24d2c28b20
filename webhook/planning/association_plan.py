"""What a pass would do about associations and why, by the rules that the running program follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.iam.external import denial_of_pods, effects_on_pod
from webhook.iam.reasons import may_be_denied
from webhook.planning.binding_matches import Problem, ProblemKind
from webhook.podidentity.association import QUOTA, AssociationAction, associations_that_fit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
    from webhook.podidentity.association import Association, FoundAssociations, Ownership


@dataclass(frozen=True, slots=True)
class Associating:
    """An association that is made, or that is ours and repaired (`found`), so that `subject` gets `role`."""

    subject: Subject
    role: RoleArn
    found: Association | None
    why: str


@dataclass(frozen=True, slots=True)
class Dissociating:
    """An association of ours that is unused."""

    found: Association
    why: str


@dataclass(frozen=True, slots=True)
class AssociationPlan:
    """All of it. `notes` are external associations that do what is wanted."""

    made: tuple[Associating, ...] = ()
    repaired: tuple[Associating, ...] = ()
    removed: tuple[Dissociating, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.made or self.repaired or self.removed)


def plan_associations(
    installation: Installation,
    cluster: ClusterSnapshot,
    account: AccountSnapshot,
    closed: Collection[RoleArn] = (),
) -> AssociationPlan:
    """What to do so that each ServiceAccount of a binding in mode pod-identity gets the binding's role.

    `closed` are roles that EKS may not assume before a person does something: nothing is made for them.
    """
    owner, seen = installation.owner, account.associations
    if owner is None or seen is None:
        return AssociationPlan()
    if seen.unread:
        return AssociationPlan(problems=(Problem(ProblemKind.ASSOCIATIONS_UNREAD, seen.unread),))
    grants = [grant for grant in cluster.grants_due(installation) if grant.binding.associates]
    made: list[Associating] = []
    repaired: list[Associating] = []
    problems: list[Problem] = []
    notes: list[Problem] = []
    for grant in grants:
        role, found = grant.binding.roles[0], seen.described.get(grant.subject)
        action = owner.action_for(found, role)
        if found is None:
            if role not in closed:
                why = f"binding {grant.binding.name} selects it"
                made.append(Associating(grant.subject, role, None, why))
        elif action is AssociationAction.UPDATE and role not in closed:
            repaired.append(Associating(grant.subject, role, found, found.change_from(role)))
        elif action is AssociationAction.CONFLICT:
            why = owner.conflict_reason(found, role)
            problems.append(Problem(ProblemKind.TAKEN, why, grant.subject, role))
        elif action is AssociationAction.ACCEPT:
            why = f"association {found.id} {found.origin} gives it {role}: left as it is"
            notes.append(Problem(ProblemKind.ASSOCIATION_OF_OTHERS, why, grant.subject, role))
    problems += _doubts(grants, installation, account)
    fit = associations_that_fit(seen.there)
    problems += _no_room(made[fit:])
    removed = _unwanted(installation, cluster, seen, owner)
    return AssociationPlan(tuple(made[:fit]), tuple(repaired), tuple(removed), tuple(problems), tuple(notes))


def _unwanted(
    installation: Installation, cluster: ClusterSnapshot, seen: FoundAssociations, owner: Ownership
) -> Iterable[Dissociating]:
    for _, found in sorted(seen.described.items()):
        if not owner.owns(found):
            continue
        if reason := cluster.removal_reason(found.role_arn, found.subject, installation, None):
            yield Dissociating(found, reason.sentence)


def _doubts(grants: Iterable[Grant], installation: Installation, account: AccountSnapshot) -> Iterable[Problem]:
    """Statements that may keep EKS from assuming a role for a ServiceAccount's pods."""
    for grant in grants:
        role = grant.binding.roles[0]
        policy, statement = account.policies.get(role), installation.own_in(role).for_pods_of(grant.binding.name)
        if policy is None or statement is None:
            continue
        if (
            place := effects_on_pod(policy, statement.claims_in(grant.subject.namespace)).possible_denial
        ) is not None:
            yield Problem(ProblemKind.MAY_BE_DENIED, may_be_denied(role, place), grant.subject, role)


def _no_room(left: list[Associating]) -> Iterable[Problem]:
    why = (
        f"EKS takes {QUOTA} associations of a cluster and no more: bind it in mode irsa, or put it into another "
        "cluster"
    )
    return [Problem(ProblemKind.FULL, why, item.subject, item.role) for item in left]


def closed_roles(account: AccountSnapshot, installation: Installation) -> dict[RoleArn, Problem | None]:
    """Roles of bindings in mode pod-identity that EKS may not assume until a person acts, with what to report.

    A role that could not be read is reported elsewhere.
    """
    closed: dict[RoleArn, Problem | None] = {}
    for binding in installation.bindings:
        for role in binding.roles if binding.associates else ():
            policy = account.policies.get(role)
            if policy is None:
                closed[role] = None
            elif (place := denial_of_pods(policy, installation.own_in(role))) is not None:
                why = f"{place} keeps EKS from assuming it for all pods: change that statement"
                closed[role] = Problem(ProblemKind.DENIED, why, role=role)
    return closed
