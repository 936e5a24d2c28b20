"""Authority comes from the live namespace: the watch cache, else the API server itself, at a bounded rate."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.reviews import review, reviewing
from tests.support.simulated_cluster import SimulatedSource
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, World
from webhook.admission.namespaces import LiveNamespaces, NamespaceUnknownError
from webhook.controller.cluster_cache import ClusterCache
from webhook.model.decisions import LiveNamespace

ROLE = role()
SUBJECT = subject(1)


@in_virtual_time
async def test_a_namespace_newer_than_the_cache_is_looked_up() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert world.cluster.reads == [SUBJECT.namespace]
    assert reply.annotation == ROLE.value
    assert world.homes(SUBJECT) == [ROLE]


@in_virtual_time
async def test_a_namespace_in_the_cache_costs_no_read() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    async with world.running(), reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert world.cluster.reads == []
    assert reply.annotation == ROLE.value


@in_virtual_time
async def test_a_label_newer_than_the_cache_is_seen() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace, selected=False)
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.namespaces.break_watches()
        world.cluster.add_namespace(SUBJECT.namespace)
        reply = await reviewer.send(review(SUBJECT))
    assert reply.annotation == ROLE.value


@pytest.mark.parametrize("state", ["none", "not selected", "terminating"])
@in_virtual_time
async def test_no_trust_for_a_namespace_that_gives_no_authority(state: str) -> None:
    world = World()
    if state == "not selected":
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
    elif state == "terminating":
        world.cluster.add_namespace(SUBJECT.namespace, terminating=True)
    async with reviewing(world) as reviewer:
        forged = review(SUBJECT, namespaceObject={"metadata": {"labels": {"selected": "yes"}}})
        reply = await reviewer.send(forged)
        await asyncio.sleep(60)
    assert reply.allowed
    assert reply.patch == []
    assert world.iam.calls == []


@in_virtual_time
async def test_where_the_api_server_fails_the_review_is_allowed_with_a_warning() -> None:
    world = World()
    world.cluster.failing_reads = 1
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert reply.allowed
    assert reply.patch == []
    assert len(reply.warnings) == 1
    assert SUBJECT.namespace in reply.warnings[0]
    assert "could not be looked up" in reply.warnings[0]
    assert world.iam.calls == []


@in_virtual_time
async def test_where_the_api_server_is_silent_the_review_is_answered_in_time() -> None:
    world = World()
    world.cluster._latency = 60.0  # noqa: SLF001
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT), path="/mutate?timeout=2s")
    assert now() == pytest.approx(1.5, abs=0.001)
    assert reply.allowed
    assert len(reply.warnings) == 1


class Counted:
    """A API server that answers at once and remembers when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def read(self, name: str, seconds: float) -> LiveNamespace | None:
        assert seconds > 0
        self.asked.append(now())
        return LiveNamespace(name, "uid", {})

    def namespaces(self) -> LiveNamespaces:
        return LiveNamespaces(ClusterCache((), SimulatedSource("namespaces", 0), {}, now, 0), self.read)


async def _fetch(namespaces: LiveNamespaces, seconds: float, number: int = 0) -> bool:
    try:
        await namespaces.fetch(f"mxp-{number}-system", seconds)
    except NamespaceUnknownError:
        return False
    return True


@in_virtual_time
async def test_reads_are_two_hundred_a_second_at_most_after_a_burst_of_four_hundred() -> None:
    server = Counted()
    namespaces = server.namespaces()
    answered = await asyncio.gather(*(_fetch(namespaces, 3.0, number) for number in range(5000)))
    assert sum(answered) == len(server.asked)
    assert 400 + 3 * 200 - 5 <= len(server.asked) <= 400 + 3 * 200
    assert sum(at < 1.0 for at in server.asked) <= 400 + 200
    assert now() <= 3.0


@in_virtual_time
async def test_a_flood_of_forged_reviews_is_over_when_it_is_over() -> None:
    server = Counted()
    namespaces = server.namespaces()
    for _ in range(10):
        await asyncio.gather(*(_fetch(namespaces, 1.0, number) for number in range(2000)))
    flood_over = now()
    await asyncio.sleep(3)
    assert await _fetch(namespaces, 1.0)
    assert now() == flood_over + 3


@in_virtual_time
async def test_a_review_that_cannot_be_served_in_time_fails_at_once() -> None:
    server = Counted()
    namespaces = server.namespaces()
    waiting = [asyncio.create_task(_fetch(namespaces, 3.0, number)) for number in range(1, 1001)]
    await asyncio.sleep(0.1)
    before = now()
    assert not await _fetch(namespaces, 1.0)
    assert now() == before
    await asyncio.gather(*waiting)


@in_virtual_time
async def test_a_namespace_that_is_being_deleted_in_the_cache_may_have_been_recreated() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace, terminating=True)
    async with world.running(), reviewing(world) as reviewer:
        live = world.cluster.namespaces.objects[SUBJECT.namespace]
        world.cluster.namespaces.objects[SUBJECT.namespace] = replace(live, uid="uid-2", terminating=False)
        reply = await reviewer.send(review(SUBJECT))
    assert reply.annotation == ROLE.value


@in_virtual_time
async def test_all_reviews_that_need_one_namespace_at_once_share_one_read() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    async with reviewing(world) as reviewer:
        replies = await asyncio.gather(*(reviewer.send(review(SUBJECT)) for _ in range(50)))
    assert world.cluster.reads == [SUBJECT.namespace]
    assert {reply.annotation for reply in replies} == {ROLE.value}


@in_virtual_time
async def test_a_read_that_began_before_the_label_came_answers_no_later_review() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace, selected=False)
    world.cluster._latency = 1.0  # noqa: SLF001
    async with reviewing(world) as reviewer:
        early = asyncio.create_task(reviewer.send(review(SUBJECT)))
        await asyncio.sleep(0.5)
        late = [asyncio.create_task(reviewer.send(review(SUBJECT))) for _ in range(20)]
        await asyncio.sleep(0.1)
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.gather(early, *late)
    assert len(world.cluster.reads) == 2
    assert {(await one).annotation for one in late} == {ROLE.value}


@in_virtual_time
async def test_a_read_that_fails_fails_all_reviews_that_share_it_and_the_next_is_another() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster.failing_reads = 1
    async with reviewing(world) as reviewer:
        replies = await asyncio.gather(*(reviewer.send(review(SUBJECT)) for _ in range(10)))
        assert all(len(reply.warnings) == 1 for reply in replies)
        assert (await reviewer.send(review(SUBJECT))).annotation == ROLE.value
    assert len(world.cluster.reads) == 2


@in_virtual_time
async def test_a_namespace_that_the_watch_shows_while_its_look_up_hangs_is_known() -> None:
    world = World()
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.reads_take = 60.0
        world.cluster.add_namespace(SUBJECT.namespace)
        reply = await reviewer.send(review(SUBJECT))
        assert reply.annotation == ROLE.value
        assert now() < 1 + BUDGET + 0.5
