"""One world: all processes, a minute of faults, minutes to recover, and minutes in which nothing may happen."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.simulation import approver, control_planes, ending, faults, people
from tests.simulation.api_server import ApiServer
from tests.simulation.plan import BUSY_SECONDS, LABEL, ControlPlane
from tests.simulation.processes import ProcessLoop
from tests.simulation.removals import Removals
from tests.simulation.replica import Neighbour, Replica, neighbours_own_in
from tests.simulation.sights import Sights
from tests.simulation.wire import Wire
from tests.simulation.wishes import Wishes
from tests.simulation.witness import Witness
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import SERVICE_ACCOUNT, own_in
from tests.support.token_bucket import TokenBucket
from tests.support.virtual_time import until
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import RoleArn, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.plan import Fault, Plan
    from tests.simulation.processes import Process

RECOVERY_SECONDS = 300.0
"""Seconds after the last fault in which all must have come right, beside the grace: five passes."""

QUIET_SECONDS = 300.0

_AT_ONCE = 6.0
"""Calls that IAM admits at once after a rest, where it throttles."""

_LONGEST_LIFE = 7200.0
"""Seconds in which the slowest plan has come to its end by far."""


class World:
    """All there is, of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.iam = SimulatedIam(latency=plan.latency)
        self.wire = Wire()
        self.wishes, sights = Wishes(plan.binding.roles), Sights(plan.binding.selects)
        removals = Removals(plan, self.iam, self.wishes, sights)
        self.witness = Witness(self.iam, self.selected, self.wanted, removals)
        self.api = ApiServer(self.wire, self.witness, self.wishes, sights)
        self.replicas: list[Replica] = []
        self.former: list[Replica] = []
        self.former_people: list[Process] = []
        self.calmers: list[Callable[[], None]] = []
        self.neighbours: defaultdict[RoleArn, list[Subject]] = defaultdict(list)
        self.neighbour: Neighbour | None = None
        for role in plan.binding.roles:
            self.iam.store(role, document := people.external_document())
            self.witness.edited(role, document)
        self._set_limit()

    def wanted(self) -> set[Subject]:
        """Whom the cluster wants trusted now: whose ServiceAccount is there, or may still come."""
        youngest = self.witness.now() - self.plan.rules.grace
        return {
            subject
            for subject in self.selected()
            if subject.namespace in self.api.accounts
            or self.wishes.waits_for_its_account(subject.namespace, youngest)
        }

    def selected(self) -> set[Subject]:
        """Whom a binding selects now, whether its ServiceAccount is there or not."""
        return {
            Subject(name, SERVICE_ACCOUNT)
            for name, namespace in self.api.namespaces.items()
            if LABEL in namespace.labels and not namespace.terminating
        }

    def start_replica(self, slot: int) -> None:
        """Start a new incarnation of a replica in place of the one that was."""
        name = f"replica-{slot}.{len(self.former)}"
        replica = self._replica(name, slot)
        self.witness.note(name, "starts")
        self.former.append(self.replicas[slot])
        self.replicas[slot] = replica

    async def run(self) -> None:
        """Live the plan through; complaints are with the witness."""
        plan = self.plan
        for slot in range(plan.replicas):
            self.replicas.append(self._replica(f"replica-{slot}", slot))
        if "neighbour" in plan.kinds:
            self._move_in()
        if plan.admitted:
            self.iam.bucket = TokenBucket(plan.admitted, _AT_ONCE, self.witness.now)
        actors = [asyncio.ensure_future(control_planes.live(self, plane)) for plane in plan.planes]
        actors += [asyncio.ensure_future(self._suffer(fault)) for fault in plan.faults]
        actors += [asyncio.ensure_future(approver.approve(self, at)) for at in plan.approved_at]
        life = asyncio.ensure_future(self._live(actors))
        broken = asyncio.ensure_future(self.witness.broken.wait())
        await asyncio.wait([life, broken], timeout=_LONGEST_LIFE, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
        elif not broken.done():
            self.witness.complain(("every_fault_ends", f"the world still lives after {_LONGEST_LIFE:.0f} s"))
        await self._end()

    def _replica(self, name: str, slot: int) -> Replica:
        return Replica(name, self.plan, self.iam, self.api, self.wire, self.witness, slot)

    async def _live(self, actors: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*actors)
        self._calm()
        self.witness.note("world", "all faults are over")
        await asyncio.sleep(RECOVERY_SECONDS + self.plan.rules.grace)
        ending.check_recovery(self)
        ending.check_leavers(self)
        writes = len(self.witness.writes)
        await asyncio.sleep(QUIET_SECONDS)
        ending.check_quiet(self, writes)
        ending.check_mutual_exclusion(self)
        ending.check_one_role_each(self)
        ending.check_no_subject_dropped(self)

    async def _suffer(self, fault: Fault) -> None:
        await until(fault.at)
        await faults.happen(self, fault)

    def _calm(self) -> None:
        self.iam.recover()
        self.iam.bucket = None
        for calm in self.calmers:
            calm()

    def _move_in(self) -> None:
        for number, subject in enumerate(self.plan.neighbours):
            self.neighbours[self.plan.binding.roles[number % len(self.plan.binding.roles)]].append(subject)
        self.witness.ever_wanted["neighbour"] = set(self.plan.neighbours)
        self.neighbour = Neighbour(self.plan, self.iam, self.wire, self.witness, self.neighbours)

    def _set_limit(self) -> None:
        """Give every role room for exactly so many, not counting white space."""
        role = self.plan.binding.roles[0]
        crowd = [
            Subject(f"mxp-{number:08d}-0000-4000-8000-000000000000-system", SERVICE_ACCOUNT)
            for number in range(self.plan.room_for)
        ]
        document = TrustPolicy(people.external_document()).with_subjects(own_in(role), crowd)
        if "neighbour" in self.plan.kinds:
            document = document.with_subjects(neighbours_own_in(role), self.plan.neighbours)
        self.iam.limit = document.size()
        if "refused_size" in self.plan.kinds:
            self.iam.answered_limit = self.iam.limit + 1 + self.plan.seed % 80

    async def _end(self) -> None:
        """Cut the wires, let the dead go on far enough to be cancelled."""
        self.wire.cut = True
        self.api.break_watches()
        for process in [*(one.process for one in [*self.replicas, *self.former]), *self.former_people]:
            process.bury()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def live_through(plan: Plan) -> World:
    """Run a plan's world to its end, in virtual time."""
    random.seed(plan.seed)

    async def run() -> World:
        world = World(plan)
        await world.run()
        return world

    with asyncio.Runner(loop_factory=ProcessLoop) as runner:
        return runner.run(run())


__all__ = ["BUSY_SECONDS", "ControlPlane", "World", "live_through"]
