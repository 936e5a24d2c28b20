"""What a pass would do and why: planned from the snapshots by the rules that the running program follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from webhook.iam.amendment import Standing
from webhook.iam.reasons import denied
from webhook.planning.association_plan import AssociationPlan, closed_roles, plan_associations
from webhook.planning.binding_matches import Problem, ProblemKind, conflict_notes, conflict_problems
from webhook.planning.placement import Placement, place
from webhook.planning.snapshot import TrustedSubjects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from webhook.iam.statement import OwnStatement, PodStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.model.removal import Forecast
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation


@dataclass(frozen=True, slots=True)
class Change:
    """A subject that is added or removed, and why."""

    subject: Subject
    why: str


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What happens to one role's trust policy. Removals are separate: they wait for the grace, or for a person."""

    role: RoleArn
    own: OwnStatement
    before: TrustPolicy
    amended: TrustPolicy
    """With the added subjects, and our statement repaired."""
    added: tuple[Change, ...] = ()
    removed: tuple[Change, ...] = ()
    is_repaired: bool = False
    """Whether our statement is not as it is written, whatever it names."""
    pods: tuple[PodStatement, ...] = ()
    """Our statements for pods that are missing, or not as they are written."""

    @property
    def after(self) -> TrustPolicy:
        """The policy once the removals are done too."""
        removed = {change.subject for change in self.removed}
        return self.amended.with_subjects(self.own, self.amended.subjects(self.own) - removed)

    @property
    def retired(self) -> list[str]:
        """The Sids of our statements that are there, of a change that removes all of them."""
        return [one["Sid"] for one in self.before.statements if self.own.owns(one)]

    @property
    def writes_at_once(self) -> bool:
        """Whether it is written even without the removals."""
        return bool(self.added or self.pods) or self.is_repaired

    @property
    def pods_changed(self) -> tuple[PodStatement, ...]:
        """Those of `pods` that are there, edited externally."""
        return tuple(one for one in self.pods if self.before.pod_statement(one) is not None)


@dataclass(frozen=True, slots=True)
class Annotating:
    """A ServiceAccount that gets `role` as its annotation, in place of `replacing`."""

    subject: Subject
    role: RoleArn
    replacing: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. `notes` are no problems: what a person may want to know."""

    roles: tuple[RoleChange, ...] = ()
    annotations: tuple[Annotating, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    associations: AssociationPlan = field(default_factory=AssociationPlan)
    forecast: Forecast | None = None
    """What the running program makes of the removals; None where there are none, or they are not its own."""
    is_observed: bool = False
    """Whether the running program only observes, so that nothing of it is done before a person does it."""

    def additions_for(self, subjects: Collection[Subject]) -> Plan:
        """What of it trusts and annotates these, and nothing else."""
        added = [[one for one in role.added if one.subject in subjects] for role in self.roles]
        return Plan(
            tuple(
                replace(role, added=tuple(those), removed=(), is_repaired=False)
                for role, those in zip(self.roles, added, strict=True)
                if those
            ),
            tuple(one for one in self.annotations if one.subject in subjects),
        )

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.roles or self.annotations) or self.associations.has_changes

    @property
    def removals(self) -> int:
        """How many subjects and associations are removed."""
        return sum(len(change.removed) for change in self.roles) + len(self.associations.removed)


def make_plan(installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot) -> Plan:
    """What to do so that cluster and account are as the bindings want them."""
    trusted = TrustedSubjects(account, installation)
    placed, amended = place(cluster.grants_due(installation), account, installation)
    roles: list[RoleChange] = []
    problems = [*unread_roles(account), *conflict_problems(cluster, installation.bindings)]
    closed = closed_roles(account, installation)
    for role in sorted(account.policies):
        policies = (account.policies[role], amended[role])
        change = _role_change(role, policies, placed, installation, cluster, trusted)
        if not (change.writes_at_once or change.removed):
            continue
        problems += _in_the_way(change, account.quota)
        if _fits(change, account.quota):
            roles.append(change)
        if change.pods and (change.before.dangling_principals() or not _fits(change, account.quota)):
            closed.setdefault(role, None)
    problems += [problem for problem in closed.values() if problem]
    problems += [problem for each in placed.values() if (problem := _problem(each))]
    annotations = [found for each in placed.values() if (found := _annotating(each, cluster))]
    associating = plan_associations(installation, cluster, account, closed)
    problems += associating.problems
    notes = (*conflict_notes(cluster, installation.bindings), *associating.notes)
    return Plan(tuple(roles), tuple(annotations), tuple(problems), notes, associating)


def _role_change(  # noqa: PLR0913, PLR0917  what is known of a role
    role: RoleArn,
    policies: tuple[TrustPolicy, TrustPolicy],
    placed: Mapping[Subject, Placement],
    installation: Installation,
    cluster: ClusterSnapshot,
    trusted: TrustedSubjects,
) -> RoleChange:
    """The change from the first policy to the second, and what is removed."""
    own, (before, amended) = installation.own_in(role), policies
    there = before.subjects(own)
    added = tuple(
        Change(subject, f"binding {placed[subject].grant.binding.name} selects it")
        for subject in sorted(amended.subjects(own) - there)
    )
    removed = tuple(
        Change(subject, reason.sentence)
        for subject in sorted(there)
        if (reason := cluster.removal_reason(role, subject, installation, trusted))
    )
    is_repaired = not before.is_whole(own.without_pods)
    pods = tuple(one for one in own.pods if not before.has_whole(one))
    return RoleChange(role, own, before, amended, added, removed, is_repaired, pods)


def _fits(change: RoleChange, quota: int) -> bool:
    """Whether the repaired statement fits the quota before removals."""
    return change.amended.size() <= max(change.before.size(), quota)


def unread_roles(account: AccountSnapshot) -> Iterator[Problem]:
    """The roles that could not be read, each with the reason."""
    for role, reason in sorted(account.unread.items()):
        yield Problem(ProblemKind.UNREAD, reason, role=role)


def _in_the_way(change: RoleChange, quota: int) -> Iterator[Problem]:
    """What keeps a change from being written."""
    for where, principal in change.before.dangling_principals():
        why = f"{where} names {principal}, which was deleted: remove it, IAM refuses every change until then"
        yield Problem(ProblemKind.DANGLING, why, role=change.role)
    if not _fits(change, quota):
        why = (
            f"our repaired statement takes {change.amended.size()} characters of {quota}: others have filled its "
            "room; raise IAM quota L-C07B4B0D, or remove a statement"
        )
        yield Problem(ProblemKind.FULL, why, role=change.role)


def _problem(placement: Placement) -> Problem | None:
    subject, role = placement.grant.subject, placement.role
    if placement.verdict is None:
        return None
    if placement.verdict.standing is Standing.DENIED:
        return Problem(ProblemKind.DENIED, denied(role, placement.verdict.place).reason, subject, role)
    if placement.verdict.possible_denial is not None:
        why = (
            f"{placement.verdict.possible_denial} of the trust policy of {role} may deny it: `mxp-identity verify "
            f"{subject.namespace} --assume` asks STS whether it does"
        )
        return Problem(ProblemKind.MAY_BE_DENIED, why, subject, role)
    if placement.verdict.standing is Standing.NO_ROOM:
        why = (
            f"no role of binding {placement.grant.binding.name} has room: raise IAM quota L-C07B4B0D, or add a "
            "role to the binding"
        )
        return Problem(ProblemKind.FULL, why, subject, role)
    return None


def _annotating(placement: Placement, cluster: ClusterSnapshot) -> Annotating | None:
    """The annotation, where the ServiceAccount is there; one that comes later is annotated as it is created."""
    grant = placement.grant
    if not grant.binding.annotates:
        return None
    account = cluster.account(grant.subject)
    standing = placement.verdict.standing if placement.verdict else None
    is_trusted = not grant.binding.names_subjects or standing in {Standing.KEPT, Standing.ADDED, Standing.EXTERNAL}
    if account is None or account.role_annotation == placement.role.value:
        return None
    if grant.annotated is not None and not is_trusted:
        return None  # pods may run with the role that it names
    if grant.annotated is not None:
        why = "another role of its binding trusts it"
    elif account.role_annotation:
        why = f"binding {grant.binding.name} overrides what it names"
    else:
        why = f"binding {grant.binding.name} selects it"
    return Annotating(grant.subject, placement.role, account.role_annotation, why)
