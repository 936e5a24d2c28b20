"""Deployments whose pods lack an identity that is there are restarted: a few at a time, and never twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.samples import sample
from tests.support.simulated_deployments import SimulatedDeployments
from tests.support.simulated_iam import Trouble
from tests.support.sites import pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import INTERVAL, World, labelled
from webhook.controller.remediation.restarts import Restarts
from webhook.controller.remediation.rollouts import RolloutLimits
from webhook.model.bindings import Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.model.names import RoleArn, Subject

SUBJECT = subject(1)
KEY = (SUBJECT.namespace, SUBJECT.service_account)
PATIENCE = 300.0
HOUR = 3600.0
YEAR_9999 = 253402214400.0
OLD, NEW = pool(2)


class Scene:
    """A world of control planes whose pods started too early."""

    def __init__(self, at_a_time: int = 1, rollout: float | None = 5.0, world: World | None = None) -> None:
        self.world = world or World()
        self.world.iam.limit = 131072
        self.deployments = SimulatedDeployments(self.world.cluster, rollout=rollout)
        self.limits = RolloutLimits(at_a_time, PATIENCE)

    def add(self, number: int) -> Subject:
        """A control plane whose pod started before its ServiceAccount was annotated."""
        account = subject(number)
        self.world.cluster.add_namespace(account.namespace)
        self.world.cluster.add_account(account)
        self.deployments.run(account)
        return account

    def add_moved(self, number: int) -> Subject:
        """A control plane whose pod started when its ServiceAccount named another role of the pool."""
        account = subject(number)
        self.world.cluster.add_namespace(account.namespace)
        self.world.cluster.add_account(account, OLD.value)
        self.deployments.run(account)
        self.world.cluster.add_account(account, NEW.value)
        return account

    def leader(self) -> Restarts:
        """A new leader, with an empty memory."""
        return Restarts(
            self.world.reconciler.pods,
            self.world.cache,
            self.world.grants,
            self.deployments,
            self.world.events,
            self.limits,
            now,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of it, inside the `async with`."""
        leading = asyncio.create_task(self.leader().run())
        async with self.world.running():
            yield
        await stop(leading)

    def restarted(self) -> list[str]:
        """The namespaces restarted, in order."""
        return [namespace for _, namespace in self.deployments.restarts]

    def lacking(self) -> int:
        """Pods without identity."""
        return sum(not pod.has_identity for pod in self.world.cluster.running.values())

    def carrying(self, role: RoleArn) -> int:
        """Pods that carry a role."""
        return sum(pod.roles == {role.value} for pod in self.world.cluster.running.values())


def forget_note(scene: Scene, subject: Subject) -> None:
    """What the owner of a Deployment may do to it."""
    scene.deployments.change(
        (subject.namespace, subject.service_account), restarted_by_us=None, restarted_for=None
    )


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def counted(outcome: str) -> float:
    """How many restarts have ended so."""
    value = sample("mxp_identity_deployments_restarted_total", {"outcome": outcome})
    assert value is not None
    return value


@pytest.mark.parametrize("at_a_time", [1, 3, 20])
@in_virtual_time
async def test_every_pod_ends_with_identity_and_no_more_are_under_way_than_the_pace_says(at_a_time: int) -> None:
    scene = Scene(at_a_time)
    for number in range(20):
        scene.add(number)
    before = counted("rolled_out")
    async with scene.running():
        await asyncio.sleep(30 * 20 / at_a_time + 2 * INTERVAL)
        assert scene.lacking() == 0
        assert sorted(scene.restarted()) == sorted(subject(number).namespace for number in range(20))
        assert scene.deployments.most_under_way == at_a_time
        assert counted("rolled_out") - before == 20
        assert scene.world.events.reasons().count("RestartedForIdentity") == 20


@in_virtual_time
async def test_nothing_is_restarted_before_the_role_trusts_the_account() -> None:
    scene = Scene()
    scene.world.iam.have(Trouble.REFUSED)
    scene.add(1)
    async with scene.running():
        await asyncio.sleep(10 * INTERVAL)
        assert scene.restarted() == []
        scene.world.iam.recover()
        await asyncio.sleep(3 * INTERVAL)
        assert scene.restarted() == [SUBJECT.namespace]


@in_virtual_time
async def test_a_restart_that_did_not_help_is_reported_and_not_repeated() -> None:
    scene = Scene()
    scene.deployments.eks_works = False
    scene.add(1)
    before = counted("did_not_help")
    async with scene.running():
        await asyncio.sleep(3 * HOUR)
        assert scene.restarted() == [SUBJECT.namespace]
        assert scene.world.events.reasons().count("NotRestartedForIdentity") == 1
        assert counted("did_not_help") - before == 1


@in_virtual_time
async def test_restarts_that_do_not_help_in_several_namespaces_hold_the_others_back() -> None:
    scene = Scene()
    scene.deployments.eks_works = False
    for number in range(50):
        scene.add(number)
    async with scene.running():
        await asyncio.sleep(2 * HOUR)
        assert len(scene.restarted()) == len(set(scene.restarted()))
        assert 3 <= len(scene.restarted()) <= 2 * HOUR / PATIENCE + 3
        scene.deployments.eks_works = True
        await asyncio.sleep(2 * HOUR)
        assert len(scene.restarted()) == 50


@in_virtual_time
async def test_an_owner_whose_pods_never_have_identity_delays_no_other() -> None:
    scene = Scene()
    first = scene.add(0)
    scene.deployments.opted_out.add(first.namespace)
    async with scene.running():
        for number in range(1, 4):
            for _ in range(int(HOUR / INTERVAL)):
                await asyncio.sleep(INTERVAL)
                forget_note(scene, first)
            scene.add(number)
            await asyncio.sleep(2 * INTERVAL)
            assert scene.restarted()[-1] == subject(number).namespace


@pytest.mark.parametrize("moment", [YEAR_9999, 0.0])
@in_virtual_time
async def test_a_note_that_an_owner_wrote_delays_others_for_no_longer_than_a_rollout_may_take(
    moment: float,
) -> None:
    scene = Scene()
    first = scene.add(0)
    scene.deployments.change(
        (first.namespace, first.service_account), restarted_by_us=moment, restarted_for=role().value, available=0
    )
    for number in range(1, 4):
        scene.add(number)
    async with scene.running():
        await asyncio.sleep(PATIENCE + 3 * INTERVAL)
        assert scene.restarted() == [subject(number).namespace for number in range(1, 4)]
        scene.add(5)
        await asyncio.sleep(2 * INTERVAL)
        assert scene.restarted()[-1] == subject(5).namespace


@in_virtual_time
async def test_a_rollout_without_end_whose_owner_removes_the_note_takes_a_turn_ever_less_often() -> None:
    scene = Scene(rollout=None)
    scene.add(0)
    async with scene.running():
        for _ in range(int(6 * HOUR / INTERVAL)):
            await asyncio.sleep(INTERVAL)
            if (
                scene.deployments.objects[subject(0).namespace, SUBJECT.service_account].restarted_by_us
                is not None
            ):
                forget_note(scene, subject(0))
        assert len(scene.restarted()) <= 12


@pytest.mark.parametrize("helps", [True, False])
@in_virtual_time
async def test_a_new_leader_restarts_nothing_a_second_time(helps: bool) -> None:  # noqa: FBT001
    scene = Scene(rollout=100)
    scene.deployments.eks_works = helps
    for number in range(5):
        scene.add(number)
    async with scene.world.running():
        for _ in range(300):
            leading = asyncio.create_task(scene.leader().run())
            await asyncio.sleep(97)
            await stop(leading)
        assert sorted(scene.restarted()) == sorted(subject(number).namespace for number in range(5))
        assert scene.deployments.most_under_way == 1


@in_virtual_time
async def test_after_a_rollout_that_does_not_end_in_time_the_next_begins_and_it_is_reported() -> None:
    scene = Scene(rollout=None)
    scene.add(1)
    scene.add(2)
    before = counted("timed_out")
    async with scene.running():
        await asyncio.sleep(PATIENCE)
        assert scene.restarted() == [SUBJECT.namespace]
        await asyncio.sleep(2 * INTERVAL)
        assert scene.restarted() == [SUBJECT.namespace, subject(2).namespace]
        await asyncio.sleep(HOUR)
        assert len(scene.restarted()) == 2
        assert counted("timed_out") - before == 2
        assert scene.world.events.reasons().count("NotRestartedForIdentity") == 2


@in_virtual_time
async def test_a_pod_that_is_of_no_bound_deployment_is_reported_and_nothing_is_restarted() -> None:
    scene = Scene()
    scene.world.cluster.add_namespace(SUBJECT.namespace)
    scene.world.cluster.add_account(SUBJECT, role().value)
    scene.world.cluster.run_pod(SUBJECT, "by-hand", has_identity=False)
    scene.deployments.eks_works = False
    scene.deployments.run(SUBJECT, "external")
    async with scene.running():
        await asyncio.sleep(3 * INTERVAL)
        assert scene.restarted() == []
        assert scene.world.events.reasons() == ["StartedWithoutIdentity"] * 2


@in_virtual_time
async def test_a_paused_deployment_is_reported_and_restarted_once_it_is_resumed() -> None:
    scene = Scene()
    scene.add(1)
    scene.deployments.change(KEY, is_paused=True)
    async with scene.running():
        await asyncio.sleep(5 * INTERVAL)
        assert scene.restarted() == []
        assert scene.world.events.reasons().count("NotRestartedForIdentity") == 1
        scene.deployments.change(KEY, is_paused=False)
        await asyncio.sleep(2 * INTERVAL)
        assert scene.restarted() == [SUBJECT.namespace]


@in_virtual_time
async def test_a_deployment_that_changes_under_the_hand_is_read_again() -> None:
    scene = Scene()
    scene.deployments.conflicts = 2
    scene.add(1)
    async with scene.running():
        await asyncio.sleep(INTERVAL + 30)
        assert scene.restarted() == [SUBJECT.namespace]
        assert scene.lacking() == 0


@in_virtual_time
async def test_an_api_server_that_fails_for_a_while_costs_no_restart_and_adds_none() -> None:
    scene = Scene()
    for number in range(5):
        scene.add(number)
    async with scene.running():
        for _ in range(20):
            scene.deployments.failing = 2
            await asyncio.sleep(INTERVAL)
        assert sorted(scene.restarted()) == sorted(subject(number).namespace for number in range(5))
        assert scene.lacking() == 0


@in_virtual_time
async def test_a_cluster_whose_pods_have_identity_costs_no_call_about_deployments() -> None:
    scene = Scene()
    scene.world.cluster.add_namespace(SUBJECT.namespace)
    scene.world.cluster.add_account(SUBJECT, role().value)
    scene.deployments.run(SUBJECT)
    async with scene.running():
        await asyncio.sleep(20 * INTERVAL)
        assert scene.deployments.reads == []
        assert scene.deployments.restarts == []


@pytest.mark.parametrize("mode", [Mode.IRSA, Mode.ANNOTATE])
@in_virtual_time
async def test_pods_with_the_role_of_before_are_replaced_once_and_at_the_same_pace(mode: Mode) -> None:
    scene = Scene(2, world=World(labelled(OLD, NEW, mode=mode)))
    for number in range(6):
        scene.add_moved(number)
    before = counted("rolled_out")
    async with scene.running():
        await asyncio.sleep(10 * INTERVAL)
        assert scene.carrying(NEW) == 6
        assert sorted(scene.restarted()) == sorted(subject(number).namespace for number in range(6))
        assert scene.deployments.most_under_way == 2
        assert counted("rolled_out") - before == 6
        reasons = scene.world.events.reasons()
        assert (reasons.count("RunsWithAnotherRole"), reasons.count("RestartedForIdentity")) == (6, 6)


@in_virtual_time
async def test_no_pod_is_replaced_before_the_role_that_is_named_now_trusts_it() -> None:
    scene = Scene(world=World(labelled(OLD, NEW)))
    scene.world.iam.have(Trouble.REFUSED)
    scene.add_moved(1)
    async with scene.running():
        await asyncio.sleep(10 * INTERVAL)
        assert scene.restarted() == []
        assert scene.world.events.reasons().count("RunsWithAnotherRole") == 1
        scene.world.iam.recover()
        await asyncio.sleep(3 * INTERVAL)
        assert scene.restarted() == [SUBJECT.namespace]
        assert scene.carrying(NEW) == 1


@in_virtual_time
async def test_a_deployment_is_restarted_again_for_another_role_and_by_a_new_leader_once() -> None:
    scene = Scene(world=World(labelled(OLD, NEW, mode=Mode.ANNOTATE)))
    subject = scene.add_moved(1)
    async with scene.world.running():
        for named in (NEW, OLD, NEW):
            scene.world.cluster.add_account(subject, named.value)
            for _ in range(10):
                leading = asyncio.create_task(scene.leader().run())
                await asyncio.sleep(97)
                await stop(leading)
            assert scene.carrying(named) == 1
        assert len(scene.restarted()) == 3


@in_virtual_time
async def test_what_did_not_help_for_one_role_is_tried_again_for_another() -> None:
    scene = Scene(world=World(labelled(OLD, NEW, mode=Mode.ANNOTATE)))
    scene.deployments.eks_works = False
    subject = scene.add_moved(1)
    async with scene.running():
        await asyncio.sleep(HOUR)
        assert len(scene.restarted()) == 1
        assert scene.world.events.reasons().count("NotRestartedForIdentity") == 1
        scene.deployments.eks_works = True
        scene.world.cluster.add_account(subject, OLD.value)
        await asyncio.sleep(HOUR)
        assert len(scene.restarted()) == 2
        assert scene.carrying(OLD) == 1
