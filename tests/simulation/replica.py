"""The real program as it is put together at start, in a process of the simulation; and its neighbour's."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tests.simulation.api_server import ApiClient
from tests.simulation.aws import AwsClient
from tests.simulation.processes import Process
from tests.support.locks import InProcessLock
from tests.support.sites import ELSEWHERE, SERVICE_ACCOUNT, own_in
from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.reviews import Metadata, Request
from webhook.admission.service import AdmissionRules, AdmissionService
from webhook.controller.binding_conflicts import BindingConflicts
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.controller.leader_election import Leader, LeaderElection
from webhook.controller.pruner import Pruner
from webhook.controller.reconciler import Reconciler
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.iam.statement import OwnStatement

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.simulation.api_server import ApiServer
    from tests.simulation.plan import Plan
    from tests.simulation.wire import Wire
    from tests.simulation.witness import Witness
    from tests.support.simulated_iam import SimulatedIam
    from webhook.admission.answers import Answer
    from webhook.controller.leader_election import Leadership
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn, Subject
    from webhook.telemetry.events import EventSubject


INSTALLATION = "mxp-identity"
_NEIGHBOUR_INTERVAL = 60.0


class Replica:
    """One incarnation of one replica: it starts with an empty memory."""

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a world
        self, name: str, plan: Plan, iam: SimulatedIam, api: ApiServer, wire: Wire, witness: Witness, slot: int
    ) -> None:
        self.process = Process(name)
        self.process.wall_clock_ahead = plan.wall_clocks_ahead[slot]
        self.gone = asyncio.Event()
        self._plan = plan
        self._witness = witness
        self.process.run(lambda: self._assemble(iam, api, wire))
        self._task = self.process.start(self._main(), f"main {name}")

    def _assemble(self, iam: SimulatedIam, api: ApiServer, wire: Wire) -> None:
        binding, name = self._plan.binding, self.process.name
        client = ApiClient(api, name)
        self._cache = ClusterCache(
            (binding,),
            client.source("namespaces"),
            {SERVICE_ACCOUNT: client.source("accounts")},
            lambda: self._witness.now() + self.process.wall_clock_ahead,
            self._plan.rules.grace,
        )
        policies = AwsClient(iam, wire, self._witness, self.process, "ours", own_in)
        engine = build_engine(
            binding.roles,
            own_in,
            lambda _: policies,
            LeaseLock(client, name),
            partial(DesiredState, self._cache),
        )
        self._grants = engine.grants
        client_of_pruner = _PrunersClient(api, self.process, self._witness)
        self._reconciler = Reconciler(self._cache, self._grants, client, _NoEvents())
        self._pruner = Pruner(
            self._cache,
            engine.writers,
            engine.desired,
            client_of_pruner,
            _NoEvents(),
            self._plan.rules,
            made_room=self._reconciler.hurry,
        )
        mappings = BindingConflicts(self._cache, (binding,), _NoEvents())
        self._leader = Leader(
            self._pruner, mappings, self._reconciler.pods, {}, self._plan.interval, self._reconciler.hurry
        )
        self._leadership = LeaderElection(client, INSTALLATION, name)
        self._service = AdmissionService(
            (binding,),
            LiveNamespaces(self._cache, client.namespace),
            self._grants,
            _NoEvents(),
            AdmissionRules(self._plan.budget, refuse_without_trust=self._plan.refuses_without_trust),
        )

    async def _main(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cache.run())
            tasks.create_task(self._reconciler.run(self._plan.interval))
            tasks.create_task(self._pruner.unused.run(self._plan.interval))
            tasks.create_task(self._leadership.run(self._lead))

    async def _lead(self, term: Leadership) -> None:
        self._witness.leads(self.process)
        try:
            await self._leader.lead(term)
        finally:
            self._witness.leads_no_longer(self.process)

    @property
    def serves(self) -> bool:
        """Whether the API server sends it reviews: it is ready, and it was not taken down."""
        return self._cache.synced and not self.gone.is_set()

    def review(
        self, operation: str, subject: Subject, annotation: str | None, *, dry: bool
    ) -> asyncio.Task[Answer]:
        """Have it answer a review."""
        request = Request(
            uid="1",
            operation=operation,
            is_reviewed=True,
            namespace=subject.namespace,
            name=subject.service_account,
            dry_run=dry,
            metadata=Metadata(subject.service_account, annotation or None, has_annotations=bool(annotation)),
        )
        return self.process.start(self._service.answer(request, self._plan.budget), f"review {subject}")

    def kill(self) -> None:
        """SIGKILL: no further step, nothing is given back."""
        self._witness.met("crash", self.process.name, "is killed")
        self.gone.set()
        self.process.kill()

    async def terminate(self) -> None:
        """SIGTERM, as the program answers it; SIGKILL if that takes half a minute."""
        self._witness.met("termination", self.process.name, "is told to end")
        self.gone.set()
        await asyncio.wait({self.process.start(self._end(), "end")}, timeout=30)
        self.process.kill()
        self._witness.note(self.process.name, "has ended")

    async def _end(self) -> None:
        await self._grants.close()
        self._task.cancel()
        await asyncio.wait({self._task})


class _PrunersClient(ApiClient):
    """The pruner's way to the API server: it reads a namespace right before a removal."""

    def __init__(self, server: ApiServer, process: Process, witness: Witness) -> None:
        super().__init__(server, process.name)
        self._process = process
        self._witness = witness

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:  # noqa: ARG002  the port's signature
        """As the port says."""
        self._witness.confirms_a_removal(self._process, name)
        return await self.call(lambda: self._said("namespaces", name))

    async def account(self, subject: Subject, seconds: float) -> Account | None:  # noqa: ARG002  the port's signature
        """As the port says."""
        return await self.call(lambda: self._said("accounts", subject.namespace))

    def _said(self, kind: str, name: str) -> Any:
        self._witness.removals.asked(self._process, name)
        return self._server.read(kind, name)


class Neighbour:
    """The same program in another cluster, which has its own statement in the same roles."""

    def __init__(
        self, plan: Plan, iam: SimulatedIam, wire: Wire, witness: Witness, wanted: dict[RoleArn, list[Subject]]
    ) -> None:
        self.process = Process("neighbour")
        self._wanted = wanted
        policies = AwsClient(iam, wire, witness, self.process, "neighbour", neighbours_own_in)
        lock = InProcessLock()
        roles = plan.binding.roles
        engine = self.process.run(
            lambda: build_engine(roles, neighbours_own_in, lambda _: policies, lock, lambda _: self)
        )
        self._writers = engine.writers.values()
        self.process.start(self._check_for_ever(), "neighbour")

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        """As the port DesiredSubjects says."""
        return self._wanted[role]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """As the port DesiredSubjects says; it runs once and learns nothing from Leases."""
        return subject in self._wanted[role]

    def may_remove(self, role: RoleArn, subject: Subject) -> bool:
        """As the port DesiredSubjects says; nothing is removed here."""
        return subject not in self._wanted[role]

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:
        """As the port DesiredSubjects says."""
        return self.may_remove(role, subject)

    def addable_among(self, subjects: Collection[Subject]) -> Collection[Subject]:
        """As the port DesiredSubjects says; it knows its namespaces."""
        return subjects

    def replaced_among(self, subjects: Collection[Subject]) -> Collection[Subject]:  # noqa: ARG002  the port's
        """As the port DesiredSubjects says; its namespaces are not recreated."""
        return ()

    async def _check_for_ever(self) -> None:
        while True:
            for writer in self._writers:
                writer.enqueue()
            await asyncio.sleep(_NEIGHBOUR_INTERVAL)


@cache
def neighbours_own_in(role: RoleArn) -> OwnStatement:
    """The neighbour's statement in a role."""
    return OwnStatement.for_role(role, ELSEWHERE, "mxp-identity")


class _NoEvents:
    def warn(self, about: EventSubject, reason: str, message: str) -> None:
        """Nobody reads them here."""

    def note(self, about: EventSubject, reason: str, message: str) -> None:
        """Nobody reads them here."""
