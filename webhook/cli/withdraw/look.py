"""Looking for all that an installation has written: what `withdraw` plans from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.withdraw.leases import leases_in, role_of
from webhook.cli.withdraw.marks import marked_deployments
from webhook.cli.withdraw.obstacles import look_around
from webhook.cli.withdraw.plan import InCluster, make_withdrawal
from webhook.controller.leader_election import leader_lease
from webhook.model.control_planes import ControlPlanes

if TYPE_CHECKING:
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.cli.withdraw.plan import LeftLease, Withdrawal


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
    progress.step("listing namespaces and ServiceAccounts")
    cluster = await here.read_cluster()
    leases = await _leases(here)
    progress.step("reading trust policies")
    written = {role for one in leases if (role := role_of(one))}
    account = await here.read_account(progress.count, written)
    if here.installation.eks is not None:
        progress.step("describing associations")
        account = await here.with_associations(account, progress.count)
    names = {name for binding in here.installation.bindings for name in binding.deployments}
    left = InCluster(
        _not_shared(leases, here, is_shared=around.is_shared),
        await marked_deployments(here.connection, names),
        around.obstacles,
    )
    plan = make_withdrawal(here.installation, cluster, account, left, keeps_access=keeps_access)
    has_namespace = here.namespace in cluster.namespaces
    return Found(here, plan, ControlPlanes(cluster.namespaces.values()), has_namespace, around.is_shared)


async def _leases(here: Session) -> tuple[LeftLease, ...]:
    return await leases_in(here.connection, here.namespace, here.installation.name)


def _not_shared(leases: tuple[LeftLease, ...], here: Session, *, is_shared: bool) -> tuple[LeftLease, ...]:
    """Without the locks of roles where another installation takes them too."""
    leader = leader_lease(here.installation.name)
    return tuple(one for one in leases if one.name == leader) if is_shared else leases
