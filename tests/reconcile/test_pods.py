"""Pods without identity are told of once each, and counted by whoever leads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World
from webhook.reconcile.pods import PodsWithoutIdentity
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WHO = subject(1)


def counted() -> float | None:
    """What the gauge says."""
    return metrics.REGISTRY.get_sample_value("mxp_identity_pods_without_identity")


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[World, PodsWithoutIdentity]]:
    """A world with two pods, one of them without identity, and somebody to look for it."""
    world = World()
    world.cluster.add_namespace(WHO.namespace)
    world.cluster.add_account(WHO, role().value)
    world.cluster.run_pod(WHO, "early", has_identity=False)
    world.cluster.run_pod(WHO, "late", has_identity=True)
    mirror = asyncio.create_task(world.view.run())
    await world.view.wait_until_synced()
    yield world, PodsWithoutIdentity(world.view, world.cluster, world.events)
    await stop(mirror)


@asynccontextmanager
async def running(pods: PodsWithoutIdentity) -> AsyncIterator[None]:
    """Somebody leads inside the `async with`."""
    leading = asyncio.create_task(pods.run(INTERVAL))
    yield
    await stop(leading)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@in_virtual_time
async def test_who_leads_counts_them_and_leaves_no_count_behind() -> None:
    async with scene() as (_, pods):
        async with running(pods):
            await asyncio.sleep(10 * INTERVAL)
            assert counted() == 1
            assert [pod.name for pod in pods.found] == ["early"]
        assert counted() == 0
        assert pods.found == []


@in_virtual_time
async def test_who_does_not_lead_tells_of_them_and_counts_none() -> None:
    async with scene() as (world, pods):
        assert [pod.name for pod in await pods.find_of(WHO)] == ["early"]
        assert world.events.reasons() == ["StartedWithoutIdentity"]
        assert pods.found == []


@in_virtual_time
async def test_a_single_look_takes_out_who_has_been_replaced_and_leaves_other_namespaces() -> None:
    async with scene() as (world, pods), running(pods):
        other = subject(2)
        world.cluster.add_namespace(other.namespace)
        world.cluster.add_account(other, role().value)
        world.cluster.run_pod(other, "elsewhere", has_identity=False)
        await asyncio.sleep(2 * INTERVAL)
        assert counted() == 2
        del world.cluster.running["early"]
        await pods.find_of(WHO)
        assert [pod.name for pod in pods.found] == ["elsewhere"]
        assert counted() == 1


@in_virtual_time
async def test_whoever_waits_for_the_next_look_goes_on_after_it() -> None:
    async with scene() as (_, pods):
        looks = asyncio.create_task(_count_looks(pods))
        async with running(pods):
            await asyncio.sleep(5 * INTERVAL + 1)
        looks.cancel()
        assert await looks == 6


async def _count_looks(pods: PodsWithoutIdentity) -> int:
    count = 0
    try:
        while True:
            await pods.next_look()
            count += 1
    except asyncio.CancelledError:
        return count
