"""Three programs, one cluster, one EKS: which of them makes an association, and what a review waits for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.simulated_eks import LATENCY
from tests.support.sites import binding, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, World
from webhook.admission.reviews import Metadata, Request
from webhook.model.bindings import Mode
from webhook.podidentity.association_writer import CALLS_PER_SECOND
from webhook.podidentity.associations import LEADER_GRACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.admission.answers import Answer
    from webhook.model.names import Subject

BINDING = binding(role(), mode=Mode.POD_IDENTITY)
SUBJECT = subject(9999)
COUNT = 150


@asynccontextmanager
async def three(*, refuses: bool = False) -> AsyncIterator[tuple[list[World], AsyncExitStack]]:
    """Three replicas, the first of which leads and ends first; each has had its first pass."""
    first = World(BINDING, refuses=refuses, replica="a")
    worlds = [first, *(World(BINDING, refuses=refuses, before=first, replica=name) for name in ("b", "c"))]
    async with AsyncExitStack() as others, AsyncExitStack() as leader:
        await leader.enter_async_context(first.running())
        for world in worlds[1:]:
            await others.enter_async_context(world.running())
        assert [world.leadership.leads_since() is not None for world in worlds] == [True, False, False]
        first.eks.calls.clear()
        yield worlds, leader


def created(world: World, subject: Subject) -> asyncio.Task[Answer]:
    """A review of a ServiceAccount's creation."""
    request = Request(
        uid="1",
        operation="CREATE",
        is_reviewed=True,
        namespace=subject.namespace,
        name=subject.service_account,
        dry_run=False,
        metadata=Metadata(subject.service_account, None, has_annotations=False),
    )
    return asyncio.create_task(world.service.answer(request, BUDGET))


@in_virtual_time
async def test_a_burst_of_reviews_at_three_replicas_costs_a_create_for_each() -> None:
    async with three() as (worlds, _):
        eks = worlds[0].eks
        for number in range(COUNT):
            worlds[0].cluster.add_namespace(subject(number).namespace)
        await asyncio.sleep(0.3)
        reviews = [created(worlds[number % 3], subject(number)) for number in range(COUNT)]
        assert all(answer.allowed for answer in await asyncio.gather(*reviews))
        await asyncio.sleep(COUNT / CALLS_PER_SECOND + 5)
        assert len(eks.now) == COUNT
        assert eks.calls["create"] == COUNT
        assert eks.calls.total() <= 1.3 * COUNT


@in_virtual_time
async def test_a_review_at_a_replica_that_does_not_lead_is_answered_at_once_and_warns_of_nothing() -> None:
    async with three() as (worlds, _):
        worlds[0].cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(0.1)
        began = now()
        answer = await created(worlds[1], SUBJECT)
        assert now() == began
        assert (answer.allowed, answer.outcome, answer.warnings) == (True, "left_to_leader", [])
        assert worlds[1].events.written == []
        assert answer.audit["trust"] == "left_to_leader"
        await asyncio.sleep(1)
        assert SUBJECT in worlds[0].eks.now


@in_virtual_time
async def test_where_a_missing_association_denies_a_replica_that_does_not_lead_waits_for_the_leaders() -> None:
    async with three(refuses=True) as (worlds, _):
        eks = worlds[0].eks
        worlds[0].cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(0.1)
        answer = await created(worlds[1], SUBJECT)
        assert answer.allowed
        assert eks.calls == {"create": 1, "list": 1, "describe": 1}


@in_virtual_time
async def test_where_a_missing_association_denies_a_replica_makes_what_the_leader_does_not() -> None:
    async with three(refuses=True) as (worlds, _):
        await worlds[0].grants.close()
        worlds[0].cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(0.1)
        began = now()
        answer = await created(worlds[1], SUBJECT)
        assert answer.allowed
        assert LEADER_GRACE < now() - began < LEADER_GRACE + 4 * LATENCY
        assert worlds[0].eks.calls["create"] == 1


@in_virtual_time
async def test_a_new_leader_makes_at_once_what_the_one_before_left_open() -> None:
    async with three() as (worlds, leader):
        eks = worlds[0].eks
        for number in range(COUNT):
            worlds[0].cluster.add_namespace(subject(number).namespace)
        await asyncio.sleep(2)
        await worlds[0].grants.close()
        await leader.aclose()
        assert 0 < len(eks.now) < COUNT
        await asyncio.sleep(4 + COUNT / CALLS_PER_SECOND)
        assert len(eks.now) == COUNT
        assert eks.calls["create"] <= COUNT + 8
        assert eks.calls.total() <= 1.3 * COUNT
