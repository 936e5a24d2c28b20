"""How far a binding is from IRSA to Pod Identity, or back: cluster, account, associations and pods."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.cli.migrate.mode_readiness import IrsaReadiness, PodIdentityReadiness
from webhook.cli.migrate.rules import (
    Course,
    LaggingPods,
    Migration,
    MigrationStep,
    ModeReadiness,
    Situation,
    next_move,
    obstacle_to_restart,
)
from webhook.config.bindings import check_associating
from webhook.config.wording import in_binding
from webhook.iam.statement import OwnStatement, sid_for_pods
from webhook.kube.deployments import DeploymentApi
from webhook.model.bindings import Mode, first_match
from webhook.model.control_planes import ControlPlanes
from webhook.model.errors import ConfigurationError, InvalidNameError
from webhook.model.names import Subject
from webhook.planning.account import describe_all
from webhook.planning.plan import make_plan
from webhook.server.pod_identity import PodIdentity, confirm_cluster, pod_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from webhook.aws.calls import AwsCalls
    from webhook.cli.migrate.rules import Move
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.controller.ports import RunningPod
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Grant
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot
    from webhook.podidentity.association import Association


@dataclass(frozen=True, slots=True)
class MigrationSession:
    """A binding that changes its mode, and what its migration works with.

    `here` has the binding in its new mode, whatever its configuration has.
    """

    here: Session
    binding: Binding
    course: Course
    pods: PodIdentity
    calls: AwsCalls
    """For what is written: each call is tried once."""

    def close(self) -> None:
        """Start nothing more."""
        self.calls.close()

    def own_in(self, role: RoleArn) -> OwnStatement:
        """What is ours in a role: on the way to Pod Identity, with the statement for the binding's pods."""
        installation = self.here.installation
        statements = self.pods.statements(role) if self.binding.associates else ()
        return OwnStatement.for_role(role, installation.issuer, installation.name, statements)

    def own_at_the_end_in(self, role: RoleArn) -> OwnStatement:
        """The same on the way to IRSA, when the statement for pods is to go."""
        return replace(self.own_in(role), former=frozenset({self.sid}))

    @property
    def sid(self) -> str:
        """The name of the statement for the binding's pods."""
        owner = self.pods.owner
        return sid_for_pods(owner.installation, self.binding.name, owner.cluster)


async def open_migration(here: Session, name: str, target: Mode, progress: Progress) -> MigrationSession:
    """Have what a migration of the binding `name` needs; the caller closes it.

    Raises InvalidNameError where there is no such binding, ConfigurationError where it cannot go to that mode, and
    AwsError without credentials or a cluster that is ours.
    """
    found = next((one for one in here.installation.bindings if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in here.installation.bindings)
        raise InvalidNameError(f'no binding "{name}"; available: {names}')
    if found.mode is Mode.ANNOTATE:
        raise InvalidNameError(f"binding {name} is in mode annotate, in which trust is not managed")
    cluster = here.configuration.cluster.name
    if cluster is None:
        raise ConfigurationError("cluster.name: is missing; associations are made of the cluster so named")
    going = replace(found, mode=target)
    if going.associates:
        check_associating(going, in_binding(here.installation.bindings.index(found), going.name))
    progress.step("asking AWS for the caller and the cluster")
    await here.caller.caller()
    bindings = tuple(going if one is found else one for one in here.installation.bindings)
    # Associations and statements for pods are looked after here, not by the plan.
    there = replace(here, installation=replace(here.installation, bindings=bindings, eks=None))
    calls = here.calls_to_write()
    pods = await pod_identity(
        (replace(found, mode=Mode.POD_IDENTITY),),
        name=cluster,
        installation=here.installation.name,
        calls=calls,
        caller=here.caller,
        issuer=lambda: here.installation.issuer,
    )
    if pods is None:
        raise ConfigurationError("cluster.name: is missing")
    await confirm_cluster(pods.cluster)
    return MigrationSession(there, going, Course(target, switched=found.mode is target), pods, calls)


async def look_at_migration(session: MigrationSession, progress: Progress) -> Migration:
    """Where each of its ServiceAccounts is.

    Lists namespaces, ServiceAccounts, pods and Deployments, reads trust policies, lists and describes
    associations. Raises ClusterError, AwsError.
    """
    here, binding = session.here, session.binding
    progress.step("listing namespaces and ServiceAccounts")
    cluster = await here.read_cluster()
    progress.step("reading trust policies")
    account = await here.read_account(progress.count)
    plan = make_plan(here.installation, cluster, account)
    grants = [one for one in cluster.grants_due(here.installation) if one.binding.name == binding.name]
    progress.step("describing associations")
    associations = await _associations(session, grants, cluster, progress.count)
    progress.step("listing pods and Deployments")
    workloads = await _workloads(session)
    problems = {problem.subject: problem.message for problem in plan.problems if problem.subject}
    irsa = IrsaReadiness(here.installation, account, problems)
    role = binding.roles[0]
    pods = PodIdentityReadiness(role, session.own_in(role), session.pods.owner, account)
    look = _Situations(session, cluster, account, associations, workloads, irsa, pods)
    moves = [next_move(look.situation(grant), session.course) for grant in grants]
    additions = plan.additions_for({move.subject for move in moves if move.step is MigrationStep.ADD})
    others = look.moves_of_others({grant.subject for grant in grants})
    planes = ControlPlanes(cluster.namespaces.values())
    return Migration(binding, session.course, (*moves, *others), additions, look.statement_in(), planes)


@dataclass(frozen=True, slots=True)
class _Situations:
    """What was found, put together for each ServiceAccount."""

    session: MigrationSession
    cluster: ClusterSnapshot
    account: AccountSnapshot
    associations: Mapping[Subject, Association]
    workloads: Mapping[Subject, tuple[LaggingPods, ...]]
    irsa: IrsaReadiness
    pods: PodIdentityReadiness

    def situation(self, grant: Grant) -> Situation:
        """Of a ServiceAccount that the binding selects."""
        subject = grant.subject
        found = self.associations.get(subject)
        if self.session.binding.associates:
            new, old = self.pods.as_new(found), self.irsa.as_old(grant)
        else:
            has_account = self.cluster.account(subject) is not None
            new, old = self.irsa.as_new(grant, has_account=has_account), self.pods.as_old(found)
        return Situation(subject, new, old, self.workloads.get(subject, ()))

    def moves_of_others(self, granted: Collection[Subject]) -> list[Move]:
        """Of ServiceAccounts that the binding does not select, with an association that its statement allows.

        The running program, once it is in mode irsa, removes none of them.
        """
        others = {subject: found for subject, found in self.associations.items() if subject not in granted}
        readiness = {subject: self._of_another(subject, found) for subject, found in sorted(others.items())}
        return [
            next_move(Situation(subject, ModeReadiness(works=True), old), self.session.course)
            for subject, old in readiness.items()
            if old is not None
        ]

    def _of_another(self, subject: Subject, found: Association) -> ModeReadiness | None:
        """What is to be removed first; None where the statement for pods may be removed without it."""
        namespace = self.cluster.namespaces.get(subject.namespace)
        if not self.session.pods.owner.owns(found):
            if found.role not in {role.value for role in self.session.binding.roles}:
                return None
            return ModeReadiness(
                trouble=f"external association {found.id} works by our statement for pods: delete it, or trust it "
                "by another"
            )
        if namespace is None:
            return self.pods.as_old(found)
        if namespace.terminating:
            return ModeReadiness(trouble="its namespace is being deleted: run this again when it is gone")
        return ModeReadiness(trouble=f"nothing gives it the role, but association {found.id} is left: delete it")

    def statement_in(self) -> tuple[RoleArn, ...]:
        """The roles with a statement for pods that is to be removed in the end."""
        if not self.session.course.detaches:
            return ()
        policies = self.account.policies
        return tuple(
            role
            for role in self.session.binding.roles
            if role in policies and any(one.get("Sid") == self.session.sid for one in policies[role].statements)
        )


async def _associations(
    session: MigrationSession, grants: Iterable[Grant], cluster: ClusterSnapshot, progress: Callable[[str], None]
) -> dict[Subject, Association]:
    """Those of the binding's ServiceAccounts; to IRSA, also all others that its statement for pods allows."""
    listing = await session.pods.api.list()
    asked = {grant.subject for grant in grants}
    if session.course.detaches:
        asked |= {one for one in listing.ids if _is_let_in(one, session, cluster)}
    ids = {subject: listing.ids[subject] for subject in sorted(asked & listing.ids.keys())}
    return await describe_all(session.pods.api, ids, progress)


def _is_let_in(subject: Subject, session: MigrationSession, cluster: ClusterSnapshot) -> bool:
    """Whether the statement for the binding's pods is for this ServiceAccount, and that of no other binding."""
    bindings = session.here.installation.bindings
    others = [one for one in bindings if one.associates and one.name != session.binding.name]
    namespace = cluster.namespaces.get(subject.namespace)
    if not _may_be_of(session.binding, subject):
        return False
    if namespace is None:
        return not any(_may_be_of(one, subject) for one in others)
    return first_match(bindings, subject.service_account, namespace.name, namespace.labels) not in others


def _may_be_of(binding: Binding, subject: Subject) -> bool:
    """Whether a binding is about a ServiceAccount, whatever the labels of its namespace."""
    return binding.service_account == subject.service_account and binding.namespaces.may_select(subject.namespace)


async def _workloads(session: MigrationSession) -> dict[Subject, tuple[LaggingPods, ...]]:
    """Pods that do not carry the new variables alone, by their Deployments."""
    here, binding = session.here, session.binding
    api = DeploymentApi(here.connection)
    deployments = {(one.namespace, one.name): one for name in binding.deployments for one in await api.named(name)}
    pods = [pod for pod in await here.api.pods(binding.service_account) if lags(pod, binding.mode)]
    return group(pods, deployments, binding)


def lags(pod: RunningPod, target: Mode) -> bool:
    """Whether a pod does not carry the variables of the mode `target` alone, so that it has to be replaced."""
    return not pod.has_identity or not pod.carries <= {target}


def group(
    pods: Iterable[RunningPod], deployments: Mapping[tuple[str, str], Deployment], binding: Binding
) -> dict[Subject, tuple[LaggingPods, ...]]:
    """Pods by ServiceAccount and Deployment, with what keeps a Deployment from being restarted."""
    names: defaultdict[Subject, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for pod in pods:
        names[Subject(pod.namespace, pod.service_account)][pod.deployment or ""].append(pod.name)
    return {
        subject: tuple(
            LaggingPods(
                name,
                tuple(sorted(members)),
                obstacle_to_restart(
                    deployments.get((subject.namespace, name)), subject.service_account, binding.deployments
                ),
            )
            for name, members in sorted(groups.items())
        )
        for subject, groups in names.items()
    }
