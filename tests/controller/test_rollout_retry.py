"""A Deployment whose pod was refused for want of an identity is retried when it is there, and no other is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.simulated_deployments import SimulatedDeployments
from tests.support.simulated_iam import Trouble
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World
from webhook.controller.remediation.rollout_retry import RolloutRetry
from webhook.model.deployments import RETRY_ROUND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SUBJECT = subject(1)
KEY = (SUBJECT.namespace, SUBJECT.service_account)
SOON = 3.0
"""Seconds from an identity to the first retry, at most."""


class Scene:
    """A world in which pods without identity are refused."""

    def __init__(self) -> None:
        self.world = World()
        self.deployments = SimulatedDeployments(self.world.cluster, gate=True)
        self.retries = self.leader()

    def add(self, number: int, annotation: str | None = None, *, selected: bool = True) -> None:
        """A control plane with its Deployment."""
        account = subject(number)
        self.world.cluster.add_namespace(account.namespace, selected=selected)
        self.world.cluster.add_account(account, annotation)
        self.deployments.run(account)

    def leader(self) -> RolloutRetry:
        """A new leader, with an empty memory."""
        return RolloutRetry(self.world.cache, self.world.grants, self.deployments, self.world.events)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of it, inside the `async with`."""
        retrying = asyncio.create_task(self.retries.run())
        async with self.world.running():
            yield
        retrying.cancel()
        await asyncio.gather(retrying, return_exceptions=True)

    def retried(self) -> list[str]:
        """The namespaces retried, in order."""
        return [namespace for _, namespace in self.deployments.retries]


@in_virtual_time
async def test_a_deployment_refused_before_the_start_is_retried_when_its_account_is_annotated() -> None:
    scene = Scene()
    scene.add(1)
    assert scene.deployments.objects[KEY].is_refused
    async with scene.running():
        await asyncio.sleep(SOON)
        assert not scene.deployments.objects[KEY].is_refused
        assert scene.retried() == [SUBJECT.namespace]
        assert "RolloutRetried" in scene.world.events.reasons()
        await asyncio.sleep(10 * INTERVAL)
        assert scene.retried() == [SUBJECT.namespace]


@in_virtual_time
async def test_a_deployment_refused_later_is_retried_when_its_account_is_annotated() -> None:
    scene = Scene()
    async with scene.running():
        await asyncio.sleep(INTERVAL)
        scene.add(1, selected=False)
        await asyncio.sleep(INTERVAL)
        assert scene.retried() == []
        scene.world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(SOON)
        assert scene.retried() == [SUBJECT.namespace]


@in_virtual_time
async def test_none_is_retried_before_the_role_trusts_it() -> None:
    scene = Scene()
    scene.world.iam.have(Trouble.REFUSED)
    scene.add(1, role().value)
    scene.deployments.change(KEY, is_failing=True)
    async with scene.running():
        await asyncio.sleep(5 * INTERVAL)
        assert scene.retried() == []
        scene.world.iam.recover()
        await asyncio.sleep(INTERVAL)
        assert scene.retried() == [SUBJECT.namespace]


@in_virtual_time
async def test_a_deployment_that_is_not_refused_is_left_alone() -> None:
    scene = Scene()
    async with scene.running():
        scene.world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(1)
        scene.world.cluster.add_account(SUBJECT, role().value)
        scene.deployments.run(SUBJECT)
        await asyncio.sleep(INTERVAL)
        assert scene.deployments.reads == [KEY]
        assert scene.retried() == []


@pytest.mark.parametrize("what", ["another account", "another name", "another namespace"])
@in_virtual_time
async def test_deployments_of_others_are_left_alone(what: str) -> None:
    scene = Scene()
    scene.add(1)
    other = {
        "another account": lambda: scene.deployments.change(KEY, service_account="default"),
        "another name": lambda: scene.deployments.run(SUBJECT, "external"),
        "another namespace": lambda: scene.add(2, selected=False),
    }
    other[what]()
    theirs = scene.deployments.objects.copy()
    if what != "another account":
        del theirs[KEY]
    async with scene.running():
        await asyncio.sleep(5 * INTERVAL)
        assert {key: scene.deployments.objects[key] for key in theirs} == theirs
        assert scene.retried() == ([] if what == "another account" else [SUBJECT.namespace])


@in_virtual_time
async def test_while_ekss_webhook_is_away_each_round_has_a_retry_and_then_there_are_no_more() -> None:
    scene = Scene()
    scene.deployments.eks_works = False
    scene.add(1)
    async with scene.running():
        await asyncio.sleep(60 * INTERVAL)
        moments = [moment for moment, _ in scene.deployments.retries]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert gaps[0] > 10
        assert all(RETRY_ROUND - 1 < gap < RETRY_ROUND + 1 for gap in gaps[2:])
        assert len(gaps) > 59 * INTERVAL / RETRY_ROUND
        assert scene.world.events.reasons().count("RolloutRetried") < 5, "people have one report"
        scene.deployments.eks_works = True
        await asyncio.sleep(INTERVAL)
        assert not scene.deployments.objects[KEY].is_refused
        retries = scene.retried()
        await asyncio.sleep(60 * INTERVAL)
        assert scene.retried() == retries


@in_virtual_time
async def test_one_that_is_refused_long_after_its_identity_came_is_retried_within_a_minute_and_not_restarted() -> (
    None
):
    scene = Scene()
    scene.add(1, role().value)
    async with scene.running():
        await asyncio.sleep(10 * INTERVAL)
        scene.deployments.eks_works = False
        scene.deployments.run(SUBJECT)  # its pod is recreated, as after a node is lost
        await asyncio.sleep(3 * INTERVAL)
        assert scene.deployments.objects[KEY].is_refused
        scene.deployments.eks_works = True
        await asyncio.sleep(INTERVAL)
        assert not scene.deployments.objects[KEY].is_refused
        assert scene.deployments.restarts == []


@in_virtual_time
async def test_one_that_cannot_be_retried_keeps_no_other_from_it() -> None:
    scene = Scene()
    for number in range(3):
        scene.add(number, role().value)
        scene.deployments.change((subject(number).namespace, SUBJECT.service_account), is_failing=True)
    scene.deployments.refusing_retries = {subject(1).namespace}
    async with scene.running():
        await asyncio.sleep(INTERVAL)
        assert sorted(scene.retried()) == [subject(0).namespace, subject(2).namespace]


@in_virtual_time
async def test_a_retry_that_came_before_ekss_webhook_knew_is_repeated() -> None:
    scene = Scene()
    scene.deployments.eks_works = False
    scene.add(1)
    async with scene.running():
        await asyncio.sleep(10)
        assert len(scene.retried()) == 1
        scene.deployments.eks_works = True
        await asyncio.sleep(10)
        assert not scene.deployments.objects[KEY].is_refused
        assert len(scene.retried()) == 2


@in_virtual_time
async def test_a_cluster_in_which_nothing_changes_costs_one_list_a_round_and_no_read() -> None:
    scene = Scene()
    for number in range(50):
        scene.add(number, role().value)
    async with scene.running():
        await asyncio.sleep(60 * INTERVAL)
        assert len(scene.deployments.lists) <= 60 * INTERVAL / RETRY_ROUND + 1
        assert scene.deployments.reads == []


@in_virtual_time
async def test_a_change_that_is_not_about_the_identity_costs_no_read() -> None:
    scene = Scene()
    scene.add(1, role().value)
    async with scene.running():
        await asyncio.sleep(INTERVAL)
        scene.world.cluster.add_namespace(SUBJECT.namespace, uid="another")
        await asyncio.sleep(INTERVAL)
        assert scene.deployments.reads == []


@pytest.mark.parametrize("annotation", [None, role().value], ids=["annotated late", "annotated before"])
@in_virtual_time
async def test_many_at_once_are_retried_at_a_bounded_rate(annotation: str | None) -> None:
    scene = Scene()
    scene.world.iam.limit = 131072
    scene.deployments.eks_works = False
    for number in range(300):
        scene.add(number, annotation)
    scene.deployments.eks_works = True
    async with scene.running():
        await asyncio.sleep(2 * INTERVAL)
        assert sorted(scene.retried()) == sorted(subject(number).namespace for number in range(300))
        moments = [moment for moment, _ in scene.deployments.retries]
        busiest = max(sum(1 for other in moments if 0 <= other - moment < 1) for moment in moments)
        assert busiest <= 60


@in_virtual_time
async def test_an_api_server_that_fails_for_a_while_is_asked_again() -> None:
    scene = Scene()
    scene.deployments.failing = 3
    scene.add(1, role().value)
    scene.deployments.change(KEY, is_failing=True)
    async with scene.running():
        await asyncio.sleep(RETRY_ROUND)
        assert len(scene.deployments.lists) == 4
        assert scene.retried() == [SUBJECT.namespace]


@in_virtual_time
async def test_a_leader_that_comes_back_checks_all_again() -> None:
    scene = Scene()
    scene.add(1, role().value)
    async with scene.world.running():
        first = asyncio.create_task(scene.retries.run())
        await asyncio.sleep(INTERVAL)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        scene.deployments.change(KEY, is_failing=True)
        await asyncio.sleep(INTERVAL)
        assert scene.retried() == []
        second = asyncio.create_task(scene.retries.run())
        await asyncio.sleep(SOON)
        assert scene.retried() == [SUBJECT.namespace]
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)


@in_virtual_time
async def test_leaders_that_end_at_any_moment_of_it_retry_each_once() -> None:
    """Each leads a little longer than the one before, and the last for long."""
    scene = Scene()
    for number in range(5):
        scene.add(number)
    async with scene.world.running():
        for hundredths in [*range(2, 300, 2), 10_000]:
            leading = asyncio.create_task(scene.leader().run())
            await asyncio.sleep(hundredths / 100)
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            retries = scene.retried()
            await asyncio.sleep(SOON)
            assert scene.retried() == retries, "a former leader retries nothing"
        assert sorted(scene.retried()) == sorted(subject(number).namespace for number in range(5))
        assert not any(one.is_refused for one in scene.deployments.objects.values())
