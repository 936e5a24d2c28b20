"""Pods without identity, or with that of before, are reported once each, and counted by the leader."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.samples import sample
from tests.support.sites import pool, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World, labelled
from webhook.controller.remediation.pods import PodsWithoutIdentity
from webhook.model.bindings import ExistingAnnotation, Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SUBJECT = subject(1)
OLD, NEW = pool(2)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"


def counted() -> float | None:
    """What the gauge says."""
    return sample("mxp_identity_pods_without_identity")


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[World, PodsWithoutIdentity]]:
    """A world with two pods, one of them without identity, and what looks for it."""
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster.add_account(SUBJECT, role().value)
    world.cluster.run_pod(SUBJECT, "early", has_identity=False)
    world.cluster.run_pod(SUBJECT, "late", has_identity=True)
    mirror = asyncio.create_task(world.cache.run())
    await world.cache.wait_until_synced()
    yield world, PodsWithoutIdentity(world.cache, world.cluster, world.events)
    await stop(mirror)


@asynccontextmanager
async def moved_scene(
    mode: Mode = Mode.IRSA, existing: ExistingAnnotation = ExistingAnnotation.KEEP, annotation: str = NEW.value
) -> AsyncIterator[tuple[World, PodsWithoutIdentity]]:
    """A ServiceAccount that names `annotation`, a pod from before with the old role, and one with the new."""
    world = World(labelled(OLD, NEW, mode=mode, existing=existing))
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster.add_account(SUBJECT, annotation)
    world.cluster.run_pod(SUBJECT, "before", has_identity=True, role=OLD.value)
    world.cluster.run_pod(SUBJECT, "since", has_identity=True, role=NEW.value)
    mirror = asyncio.create_task(world.cache.run())
    await world.cache.wait_until_synced()
    yield world, PodsWithoutIdentity(world.cache, world.cluster, world.events)
    await stop(mirror)


@asynccontextmanager
async def running(pods: PodsWithoutIdentity) -> AsyncIterator[None]:
    """A replica leads inside the `async with`."""
    leading = asyncio.create_task(pods.run(INTERVAL))
    yield
    await stop(leading)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@in_virtual_time
async def test_a_leader_counts_them_and_leaves_no_count_behind() -> None:
    async with scene() as (_, pods):
        async with running(pods):
            await asyncio.sleep(10 * INTERVAL)
            assert counted() == 1
            assert [pod.name for pod in pods.found] == ["early"]
        assert counted() == 0
        assert pods.found == []


@in_virtual_time
async def test_a_replica_that_does_not_lead_reports_them_and_counts_none() -> None:
    async with scene() as (world, pods):
        assert [pod.name for pod in await pods.find_of(SUBJECT)] == ["early"]
        assert world.events.reasons() == ["StartedWithoutIdentity"]
        assert pods.found == []


@in_virtual_time
async def test_a_single_check_drops_what_has_been_replaced_and_keeps_other_namespaces() -> None:
    async with scene() as (world, pods), running(pods):
        other = subject(2)
        world.cluster.add_namespace(other.namespace)
        world.cluster.add_account(other, role().value)
        world.cluster.run_pod(other, "elsewhere", has_identity=False)
        await asyncio.sleep(2 * INTERVAL)
        assert counted() == 2
        del world.cluster.running["early"]
        await pods.find_of(SUBJECT)
        assert [pod.name for pod in pods.found] == ["elsewhere"]
        assert counted() == 1


@in_virtual_time
async def test_the_next_check_is_waited_for() -> None:
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
            await pods.next_check()
            count += 1
    except asyncio.CancelledError:
        return count


@pytest.mark.parametrize("mode", [Mode.IRSA, Mode.ANNOTATE])
@in_virtual_time
async def test_a_pod_with_the_role_of_before_is_counted_and_reported_once(mode: Mode) -> None:
    async with moved_scene(mode) as (world, pods), running(pods):
        await asyncio.sleep(10 * INTERVAL)
        assert counted() == 1
        assert [pod.name for pod in pods.found] == ["before"]
        (written,) = world.events.written
        assert (written.about.kind, written.about.name, written.reason) == ("Pod", "before", "RunsWithAnotherRole")
        assert written.message == (
            f"runs with {OLD}, which its ServiceAccount no longer names: restart its Deployment, for example "
            f"kubectl rollout restart deployment -n {SUBJECT.namespace}"
        )


@in_virtual_time
async def test_a_single_check_does_not_report_again_what_is_known() -> None:
    async with moved_scene() as (world, pods), running(pods):
        await asyncio.sleep(INTERVAL)
        assert [pod.name for pod in await pods.find_of(SUBJECT)] == ["before"]
        assert world.events.reasons() == ["RunsWithAnotherRole"]


@in_virtual_time
async def test_of_a_pods_roles_only_those_of_before_are_reported() -> None:
    async with moved_scene() as (world, pods):
        both = world.cluster.running.pop("before")
        world.cluster.running["both"] = replace(both, roles=frozenset({OLD.value, NEW.value}))
        await pods.find()
        assert [event.message.partition(" which")[0] for event in world.events.written] == [f"runs with {OLD},"]


@in_virtual_time
async def test_a_pod_whose_role_is_named_again_counts_no_more() -> None:
    async with moved_scene() as (world, pods), running(pods):
        await asyncio.sleep(INTERVAL)
        world.cluster.add_account(SUBJECT, OLD.value)
        del world.cluster.running["since"]
        await asyncio.sleep(INTERVAL)
        assert (counted(), pods.found) == (0, [])
        world.cluster.add_account(SUBJECT, NEW.value)
        await asyncio.sleep(INTERVAL)
        assert counted() == 1
        assert world.events.reasons() == ["RunsWithAnotherRole"] * 2


@pytest.mark.parametrize("whole", [True, False])
@in_virtual_time
async def test_a_pod_made_with_an_annotation_that_the_watch_has_not_shown_yet_is_not_reported(whole: bool) -> None:  # noqa: FBT001
    async with moved_scene(annotation=OLD.value) as (world, pods):
        world.cluster.pods_latency = 0
        world.cluster.add_account(SUBJECT, NEW.value)
        lacking = pods.find() if whole else pods.find_of(SUBJECT)
        found = await lacking
        assert [pod.name for pod in found or ()] == ([] if whole else ["before"])
        assert [event.about.name for event in world.events.written] == ([] if whole else ["before"])
        await asyncio.sleep(1)
        await pods.find()
        assert [pod.name for pod in pods.found] == ["before"]


@pytest.mark.parametrize("annotation", [EXTERNAL_ROLE, ""])
@pytest.mark.parametrize("existing", ExistingAnnotation)
@in_virtual_time
async def test_while_the_annotation_names_no_role_of_the_binding_no_role_of_a_pod_is_wrong(
    annotation: str, existing: ExistingAnnotation
) -> None:
    async with moved_scene(existing=existing, annotation=annotation) as (world, pods), running(pods):
        world.cluster.run_pod(SUBJECT, "external", has_identity=True, role=EXTERNAL_ROLE)
        await asyncio.sleep(3 * INTERVAL)
        await pods.find_of(SUBJECT)
        assert counted() == 0
        assert world.events.written == []


@in_virtual_time
async def test_with_an_association_no_role_of_a_pod_is_wrong() -> None:
    async with moved_scene(Mode.POD_IDENTITY) as (world, pods), running(pods):
        await asyncio.sleep(3 * INTERVAL)
        await pods.find_of(SUBJECT)
        assert counted() == 0
        assert world.events.written == []


@in_virtual_time
async def test_an_api_server_that_does_not_say_what_is_named_keeps_the_last_count() -> None:
    async with moved_scene() as (world, pods), running(pods):
        await asyncio.sleep(INTERVAL)
        world.cluster.run_pod(SUBJECT, "another", has_identity=True, role=OLD.value)
        world.cluster.failing_reads = 1
        await asyncio.sleep(INTERVAL)
        assert counted() == 1
        await asyncio.sleep(INTERVAL)
        assert counted() == 2
