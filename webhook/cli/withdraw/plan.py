"""What an installation has left in the cluster and in the account, and what becomes of each of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.cli.trust_statements import other_statements_for_pods, own_in
from webhook.cli.withdraw.statements import changed_externally, replacements, without_managed
from webhook.model.bindings import first_match
from webhook.model.names import Subject
from webhook.planning.binding_matches import Problem, ProblemKind
from webhook.planning.plan import unread_roles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.cli.withdraw.statements import Replacement
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import ClusterArn, RoleArn
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
    from webhook.podidentity.association import Association


class ObstacleKind(StrEnum):
    """What has to be gone before anything is withdrawn. The values are in documents."""

    REGISTERED = "webhook-registered"
    GATE = "pod-gate-in-force"
    RUNNING = "replica-runs"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One of them, in a sentence, and the command that removes it, if one does."""

    kind: ObstacleKind
    message: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class RoleRewrite:
    """A role's trust policy, and what becomes of the managed statements in it."""

    role: RoleArn
    own: OwnStatement
    before: TrustPolicy
    after: TrustPolicy
    replaced: tuple[Replacement, ...]
    wanted: frozenset[Subject]
    """Those that bindings want in the role."""

    @property
    def words(self) -> list[str]:
        """What was done once it is written, a line for each statement."""
        return [
            f"statement {one.managed['Sid']} {'is ' + one.plain['Sid'] + ' now' if one.plain else 'removed'}"
            for one in self.replaced
        ]


@dataclass(frozen=True, slots=True)
class Annotated:
    """A ServiceAccount whose annotation names a bound role."""

    subject: Subject
    role: RoleArn


@dataclass(frozen=True, slots=True, order=True)
class LeftLease:
    """A Lease of the installation: the leader's, or the lock of a role, as it was read."""

    name: str
    role: str
    """The ARN; empty in the leader's."""
    version: str


@dataclass(frozen=True, slots=True, order=True)
class MarkedDeployment:
    """A Deployment that carries notes of the program."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """All of it. With `keeps_access` statements become plain, associations lose tags, and annotations stay."""

    keeps_access: bool
    roles: tuple[RoleRewrite, ...] = ()
    associations: tuple[Association, ...] = ()
    annotations: tuple[Annotated, ...] = ()
    deployments: tuple[MarkedDeployment, ...] = ()
    leases: tuple[LeftLease, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.roles or self.associations or self.annotations or self.deployments or self.leases)


@dataclass(frozen=True, slots=True)
class InCluster:
    """What is left in the cluster beside annotations of ServiceAccounts."""

    leases: Collection[LeftLease] = ()
    """Those that only this installation uses."""
    deployments: Collection[MarkedDeployment] = ()
    obstacles: Collection[Obstacle] = ()


def make_withdrawal(
    installation: Installation,
    cluster: ClusterSnapshot,
    account: AccountSnapshot,
    left: InCluster,
    *,
    keeps_access: bool,
) -> Withdrawal:
    """What becomes of all that an installation has written."""
    wanted = cluster.grants_due(installation)
    roles: list[RoleRewrite] = []
    problems, notes = [*unread_roles(account)], list[Problem]()
    named: set[Subject] = set()
    for role, policy in sorted(account.policies.items()):
        own = own_in(role, installation)
        subjects = policy.subjects(own)
        named |= subjects
        kept = subjects if keeps_access else None
        if keeps_access and (why := changed_externally(policy, own)):
            problems.append(Problem(ProblemKind.STATEMENT_CHANGED, why, role=role))
        elif replaced := replacements(policy, own, kept):
            here = frozenset(one.subject for one in wanted if role in one.binding.roles)
            after = without_managed(policy, own, kept)
            roles.append(RoleRewrite(role, own, policy, after, tuple(replaced.values()), here))
        notes += _left(role, policy, own, installation.eks)
    found = account.associations
    if found and found.unread:
        problems.append(Problem(ProblemKind.ASSOCIATIONS_UNREAD, found.unread))
    owner = installation.owner
    described = found.described.values() if found else ()
    associations = tuple(one for one in described if owner and owner.owns(one))
    named |= {one.subject for one in associations}
    return Withdrawal(
        keeps_access,
        tuple(roles),
        tuple(sorted(associations, key=lambda one: one.subject)),
        () if keeps_access else tuple(_annotated(installation, cluster, named)),
        tuple(sorted(left.deployments)),
        tuple(sorted(left.leases)),
        tuple(left.obstacles),
        tuple(problems),
        tuple(notes),
    )


def _annotated(
    installation: Installation, cluster: ClusterSnapshot, named: Collection[Subject]
) -> Iterator[Annotated]:
    """ServiceAccounts that name a bound role, where a binding selects them or something of ours names them.

    Whatever wrote the annotation: nothing in Kubernetes tells.
    """
    roles = {role.value: role for binding in installation.bindings for role in binding.roles}
    for _, one in sorted(cluster.accounts.items()):
        namespace = cluster.namespaces.get(one.namespace)
        labels = namespace.labels if namespace else {}
        is_selected = first_match(installation.bindings, one.name, one.namespace, labels) is not None
        subject = Subject(one.namespace, one.name)
        if one.role_annotation in roles and (is_selected or subject in named):
            yield Annotated(subject, roles[one.role_annotation])


def _left(role: RoleArn, policy: TrustPolicy, own: OwnStatement, cluster: ClusterArn | None) -> Iterator[Problem]:
    """Statements of this program for pods of this cluster of which it is not known whose they are."""
    for place, clusters in other_statements_for_pods(policy, own):
        if cluster is not None and cluster.value in clusters:
            why = (
                f"{place} is for pods of this cluster, by another installation or by a binding that the "
                "configuration does not have: left as it is"
            )
            yield Problem(ProblemKind.STATEMENT_LEFT, why, role=role)
