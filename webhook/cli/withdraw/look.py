"""Looking for all that an installation has written: what `withdraw` plans from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.snapshots.inspection import list_objects
from webhook.cli.snapshots.release import leases_in, role_of
from webhook.cli.withdraw.obstacles import look_around
from webhook.cli.withdraw.plan import InCluster, LeftLease, MarkedDeployment, make_withdrawal
from webhook.controller.leader_election import leader_lease
from webhook.coordination.lock import lease_name
from webhook.kube.objects import AnnotatedObject
from webhook.model.control_planes import ControlPlanes
from webhook.model.deployments import RESTARTED, RESTARTED_FOR, RETRIED
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.cli.withdraw.plan import Withdrawal
    from webhook.kube.connection import Connection

MARKS = (RETRIED, RESTARTED, RESTARTED_FOR)
"""The program's notes on Deployments: when it had one try again, and when it restarted one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The plan, the session in which it is carried out, and what else that needs."""

    here: Session
    """Of an installation that knows its cluster in EKS, whatever the mode of its bindings is now."""
    plan: Withdrawal
    planes: ControlPlanes
    has_namespace: bool
    """Whether the namespace of the release is there, and so the locks of roles."""
    is_shared: bool
    """Whether another installation has its release there, and so uses the same locks."""

    async def leases(self) -> tuple[LeftLease, ...]:
        """The Leases that only this installation uses, as they are now (list leases). Raises ClusterError."""
        return _not_shared(await _leases(self.here), self.here, is_shared=self.is_shared)


async def look(session: Session, progress: Progress, *, keeps_access: bool) -> Found:
    """Look at the release, the cluster, trust policies and associations. Raises ClusterError, AwsError."""
    here = await session.in_eks()
    progress.step("looking for the release and its replicas")
    around = await look_around(here)
    leases = await _leases(here)
    cluster, account = await here.read(progress, {RoleArn(one.role) for one in leases if one.role})
    names = {name for binding in here.installation.bindings for name in binding.deployments}
    left = InCluster(
        _not_shared(leases, here, is_shared=around.is_shared),
        await _marked_deployments(here.connection, names),
        around.obstacles,
    )
    plan = make_withdrawal(here.installation, cluster, account, left, keeps_access=keeps_access)
    has_namespace = here.namespace in cluster.namespaces
    return Found(here, plan, ControlPlanes(cluster.namespaces.values()), has_namespace, around.is_shared)


async def _leases(here: Session) -> tuple[LeftLease, ...]:
    """The leader's Lease of the installation, and the locks of roles."""
    leader = leader_lease(here.installation.name)
    found: list[LeftLease] = []
    for one in await leases_in(here.connection, here.namespace):
        role = role_of(one)
        lock_of = role.value if role and one.name == lease_name(role) else ""
        if one.name == leader or lock_of:
            found.append(LeftLease(one.name, lock_of, one.resource_version))
    return tuple(found)


def _not_shared(leases: tuple[LeftLease, ...], here: Session, *, is_shared: bool) -> tuple[LeftLease, ...]:
    """Without the locks of roles where another installation takes them too."""
    leader = leader_lease(here.installation.name)
    return tuple(one for one in leases if one.name == leader) if is_shared else leases


async def _marked_deployments(connection: Connection, names: Collection[str]) -> list[MarkedDeployment]:
    """Those of these names that carry a note (list deployments). Raises ClusterError."""
    found: list[MarkedDeployment] = []
    for name in sorted(names):
        query = {"fieldSelector": f"metadata.name={name}"}
        items = await list_objects(connection, AnnotatedObject, "/apis/apps/v1/deployments", query)
        marked = [one for one in items if not (one.metadata.annotations or {}).keys().isdisjoint(MARKS)]
        found += [MarkedDeployment(one.metadata.namespace, one.metadata.name) for one in marked]
    return found
