"""A whole program without its edges: mirrors, passes, grants and reviews over a simulated cluster and IAM."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.support.locks import InProcessLock, MemoryLeases
from tests.support.pods import OWNER, pods_of
from tests.support.simulated_cluster import LABEL, RecordedEvents, SimulatedCluster
from tests.support.simulated_eks import SimulatedEks
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import SERVICE_ACCOUNT, external_document, own_in, role
from tests.support.virtual_time import now
from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.service import AdmissionRules, AdmissionService
from webhook.controller.binding_conflicts import BindingConflicts
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.controller.leader_election import Leader, LeaderElection, leader_lease
from webhook.controller.pruner import Pruner
from webhook.controller.reconciler import Reconciler
from webhook.engine.build import build_engine
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.removal import PruneRules
from webhook.model.selectors import NamespaceSelector, Operator, Requirement
from webhook.podidentity.associations import Associations
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.coordination.lock import RoleLock
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import RoleArn, Subject

INSTALLATION = "mxp-identity"
LEASE = leader_lease(INSTALLATION)
INTERVAL = 60.0
GRACE = 600.0
BUDGET = 3.0


def labelled(
    *roles: RoleArn,
    name: str = "backup",
    mode: Mode = Mode.IRSA,
    existing: ExistingAnnotation = ExistingAnnotation.KEEP,
) -> Binding:
    """A binding of every namespace that carries Spaces' label."""
    selector = NamespaceSelector((Requirement(LABEL, Operator.EXISTS),))
    return Binding(name, SERVICE_ACCOUNT, selector, mode, roles or (role(),), existing)


def of_team(
    team: str,
    mode: Mode = Mode.IRSA,
    existing: ExistingAnnotation = ExistingAnnotation.KEEP,
    *,
    service_account: str = SERVICE_ACCOUNT,
) -> Binding:
    """A binding of the namespaces with one value of the label `team`, to a role of that name."""
    selector = NamespaceSelector((Requirement("team", Operator.IN, frozenset({team})),))
    return Binding(team, service_account, selector, mode, (role(team),), existing)


class World:
    """All parts of one program, put together as `serve` does it.

    With `before` it is another process of that program, which shares with that one only what is outside of it.
    As a named `replica` it leads once it is elected, else from the start.
    """

    def __init__(
        self,
        *bindings: Binding,
        iam: SimulatedIam | None = None,
        refuses: bool = False,
        before: World | None = None,
        replica: str = "",
        lock: RoleLock | None = None,
    ) -> None:
        self.bindings = bindings or (labelled(),)
        accounts = {binding.service_account for binding in self.bindings}
        self.iam: SimulatedIam = before.iam if before else iam or SimulatedIam()
        self.cluster: SimulatedCluster = before.cluster if before else SimulatedCluster(*accounts)
        self.events: RecordedEvents = before.events if before else RecordedEvents()
        self.progress = Progress()
        self.cache = ClusterCache(
            self.bindings, self.cluster.namespaces, self.cluster.accounts, now, GRACE, self.progress
        )
        self.eks: SimulatedEks = before.eks if before else SimulatedEks()
        policies, lock = self.iam.client(), lock or InProcessLock()
        self.roles = sorted({one for binding in self.bindings if binding.edits_trust for one in binding.roles})
        for one in self.roles:
            if before is None or one not in before.roles:
                self.iam.store(one, external_document(one))
        self.leases: MemoryLeases = before.leases if before else MemoryLeases()
        self.leadership = LeaderElection(self.leases, INSTALLATION, replica or "a", self.progress)
        associating = [binding for binding in self.bindings if binding.associates]
        leads_since = self.leadership.leads_since if replica else lambda: 0.0

        def own(one: RoleArn) -> OwnStatement:
            pods = tuple(pods_of(binding) for binding in associating if one in binding.roles)
            return replace(own_in(one), pods=pods)

        self.engine = build_engine(
            self.roles,
            own,
            lambda _: policies,
            lock,
            partial(DesiredState, self.cache),
            partial(Associations, self.eks, OWNER, leads_since=leads_since, progress=self.progress)
            if associating
            else None,
            self.progress,
        )
        self.writers, self.grants = self.engine.writers, self.engine.grants
        self.reconciler = Reconciler(self.cache, self.grants, self.cluster, self.events, self.progress)
        self.pruner = Pruner(
            self.cache,
            self.writers,
            self.engine.desired,
            self.cluster,
            self.events,
            PruneRules(GRACE, 0.2),
            self.engine.associations,
            self.progress,
            self.reconciler.hurry,
        )
        self.leader = Leader(
            self.pruner,
            BindingConflicts(self.cache, self.bindings, self.events),
            self.reconciler.pods,
            {},
            INTERVAL,
            self.reconciler.hurry,
        )
        self.namespaces = LiveNamespaces(self.cache, self.cluster.namespace)
        self.service = AdmissionService(
            self.bindings, self.namespaces, self.grants, self.events, AdmissionRules(BUDGET, refuses)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Mirror and reconcile inside the `async with`, from the first pass on."""
        tasks = [
            asyncio.create_task(self.cache.run()),
            asyncio.create_task(self.reconciler.run(INTERVAL)),
            asyncio.create_task(self.pruner.unused.run(INTERVAL)),
            asyncio.create_task(self.leadership.run(self.leader.lead)),
        ]
        await asyncio.sleep(1)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    def trusted_in(self, one: RoleArn) -> frozenset[Subject]:
        """Whom our statement in the role trusts now."""
        return TrustPolicy(self.iam.document(one)).subjects(own_in(one))

    def homes(self, subject: Subject) -> list[RoleArn]:
        """The roles that trust the subject by our statement."""
        return [one for one in self.roles if subject in self.trusted_in(one)]
