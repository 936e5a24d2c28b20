"""Moving control planes on over a simulated cluster, IAM and EKS: what a person is told of what was done."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.locks import InProcessLock
from tests.support.pods import OWNER
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_eks import SimulatedEks, Trouble, refusal
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import SERVICE_ACCOUNT, binding, external_document, own_in, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE
from webhook.cli.apply.engine import Applier, applier_over
from webhook.cli.migrate import migrating
from webhook.cli.migrate.rules import Course, Migration, MigrationStep, ModeReadiness, Move, Situation
from webhook.cli.output import Done
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.controller.remediation.rollouts import RolloutLimits
from webhook.engine.build import build_engine
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError
from webhook.planning.plan import Plan
from webhook.podidentity.associations import Associations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.model.names import RoleArn, Subject

ROLE = role()
TIME_RUNS = "its association is gone, and its pods keep their credentials for three hours at most"


@dataclass
class Replaced:
    """What replacing pods comes to: a reason, or an error, at one of its three waits; nothing goes wrong else."""

    settled: str = ""
    propagated: str | Exception = ""
    replaced: str | Exception = ""

    def port(self) -> Any:
        """In place of Replacing."""
        waits = ("settled", "propagated", "replaced")
        return SimpleNamespace(**{name: self._answering(getattr(self, name)) for name in waits})

    def _answering(self, outcome: str | Exception) -> Any:
        async def wait(_: Subject) -> str:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return wait


@dataclass
class Scene:
    """Two control planes with both ways, whose binding goes to one of them."""

    target: Mode
    pods_listed: bool = True
    eks: SimulatedEks = field(default_factory=SimulatedEks)
    iam: SimulatedIam = field(default_factory=SimulatedIam)
    cluster: SimulatedCluster = field(default_factory=lambda: SimulatedCluster(SERVICE_ACCOUNT))

    def __post_init__(self) -> None:
        self.binding = binding(ROLE, mode=self.target)
        self.subjects = [subject(1), subject(2)]
        document = external_document(ROLE)
        document["Statement"].append(own_in(ROLE).render(self.subjects))
        self.iam.store(ROLE, document)
        for one in self.subjects:
            self.cluster.add_namespace(one.namespace)
            self.cluster.add_account(one, ROLE.value)
            self.eks.put(one, ROLE.value, tags=OWNER.tags())

    @asynccontextmanager
    async def applier(self, *_: Any, done: Done) -> AsyncIterator[Applier]:
        """What the command works with."""
        cache = ClusterCache((self.binding,), self.cluster.namespaces, self.cluster.accounts, now, GRACE)
        policies = self.iam.client("migrate")
        engine = build_engine(
            [ROLE],
            own_in,
            lambda _: policies,
            InProcessLock(),
            partial(DesiredState, cache),
            partial(Associations, self.eks, OWNER),
        )
        async with applier_over(engine, self.cluster, policies, cache, done) as applier:
            yield applier

    async def _pods(self, _: str) -> list[Any]:
        if not self.pods_listed:
            raise ClusterError("GET /api/v1/pods: 503 service unavailable")
        return []

    async def _take_annotation(self, one: Subject, _: RoleArn) -> bool:
        self.cluster.add_account(one)
        return True

    async def move_on(
        self, monkeypatch: pytest.MonkeyPatch, step: MigrationStep, replaced: Replaced, done: Done | None = None
    ) -> Done:
        """Take `step` with both of them, and answer what was noted."""
        done = done or Done()
        api = SimpleNamespace(pods_until_gone=self._pods, take_annotation=self._take_annotation)
        journey: Any = SimpleNamespace(
            here=SimpleNamespace(api=api), binding=self.binding, own_in=own_in, pods=None
        )
        monkeypatch.setattr(migrating, "open_applier", lambda _, done, *more: self.applier(*more, done=done))
        monkeypatch.setattr(migrating, "Replacing", lambda *_: replaced.port())
        situations = [
            Situation(one, ModeReadiness(works=True), ModeReadiness(is_ours=True)) for one in self.subjects
        ]
        moves = tuple(Move(one, step, "") for one in situations)
        migration = Migration(self.binding, Course(self.target, switched=True), moves, Plan())
        await migrating.move_on(journey, migration, RolloutLimits(2, 1.0), lambda _: None, done)
        return done


AFTERWARDS = {
    "EKS's webhook does not know it": Replaced(propagated="it is not propagated yet"),
    "the API server fails": Replaced(propagated=ClusterError("POST /api/v1/namespaces/x/pods: 500")),
    "the rollout does not end": Replaced(replaced="pods with the old variables are still there"),
    "the API server fails later": Replaced(replaced=ClusterError("GET /api/v1/pods: 503")),
}


@pytest.mark.parametrize("case", AFTERWARDS)
def test_time_runs_for_pods_whose_association_is_gone(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        scene = Scene(Mode.IRSA)
        done = await scene.move_on(monkeypatch, MigrationStep.DETACH, AFTERWARDS[case])
        assert not scene.eks.now
        assert len(done.failed) == 2
        wait = AFTERWARDS[case]
        for one, line in zip(scene.subjects, sorted(done.failed), strict=True):
            assert line.startswith(f"{one.namespace}/{one.service_account}: {TIME_RUNS}, so run this again: ")
            assert line.endswith(f": {wait.propagated or wait.replaced}")

    scenario()


@dataclass(frozen=True)
class Before:
    """What keeps an association, so that no time runs."""

    replaced: Replaced = field(default_factory=Replaced)
    refuses_to_delete: bool = False
    step: MigrationStep = MigrationStep.DETACH


BEFOREHAND = {
    "a rollout is under way": Before(Replaced(settled="a rollout has not ended")),
    "EKS refuses to delete it": Before(refuses_to_delete=True),
    "it is not to be deleted": Before(Replaced(replaced="the rollout does not end"), step=MigrationStep.RESTART),
}


@pytest.mark.parametrize("case", BEFOREHAND)
def test_no_time_runs_for_pods_that_still_have_it(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        scene, before = Scene(Mode.IRSA), BEFOREHAND[case]
        if before.refuses_to_delete:
            scene.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED), "delete", times=2))
        done = await scene.move_on(monkeypatch, before.step, before.replaced)
        assert set(scene.eks.now) == set(scene.subjects)
        assert len(done.failed) == 2
        assert not [line for line in done.failed if TIME_RUNS in line]

    scenario()


def test_what_was_done_is_noted_before_an_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        scene, done = Scene(Mode.POD_IDENTITY, pods_listed=False), Done()
        with pytest.raises(ClusterError, match="503"):
            await scene.move_on(monkeypatch, MigrationStep.RESTART, Replaced(), done)
        assert done.written == [
            "every pod of 2 ServiceAccounts carries the new variables",
            "2 annotations removed",
        ]

    scenario()


def test_ctrl_c_between_a_deletion_and_the_new_pods_tells_that_time_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        scene, done, port = Scene(Mode.IRSA), Done(), Replaced()

        async def for_ever(_: Subject) -> str:
            await asyncio.sleep(1e6)
            return ""

        monkeypatch.setattr(port, "port", lambda: SimpleNamespace(settled=_at_once, propagated=for_ever))
        moving = asyncio.create_task(scene.move_on(monkeypatch, MigrationStep.DETACH, port, done))
        await asyncio.sleep(30)
        moving.cancel()
        await asyncio.wait([moving])
        assert moving.cancelled()
        assert not scene.eks.now
        assert sorted(done.failed) == [
            f"{one.namespace}/{one.service_account}: {TIME_RUNS}, so run this again" for one in scene.subjects
        ]

    scenario()


async def _at_once(_: Subject) -> str:
    return ""


def test_so_it_is_before_ctrl_c_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """One control plane's pods are replaced, the other's are being waited for."""

    @in_virtual_time
    async def scenario() -> None:
        scene, done = Scene(Mode.POD_IDENTITY), Done()

        async def replaced(one: Subject) -> str:
            await asyncio.sleep(0 if one == scene.subjects[0] else 600)
            return ""

        port = Replaced()
        monkeypatch.setattr(port, "_answering", lambda _: replaced)
        moving = asyncio.create_task(scene.move_on(monkeypatch, MigrationStep.REMOVE, port, done))
        await asyncio.sleep(10)
        moving.cancel()
        await asyncio.wait([moving])
        assert moving.cancelled()
        assert done.written == ["every pod of 1 ServiceAccounts carries the new variables"]

    scenario()
