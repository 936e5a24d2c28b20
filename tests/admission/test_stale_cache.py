"""While the watch is out of touch only a live read gives a ServiceAccount anything new."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.reviews import review, reviewing
from tests.support.simulated_cluster import LABEL
from tests.support.simulated_iam import Trouble
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import World, labelled
from webhook.model.bindings import ExistingAnnotation, Mode
from webhook.model.decisions import LiveNamespace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.reviews import Reviewer

ROLE = role()
SUBJECT, TRUSTED = subject(1), subject(2)


@asynccontextmanager
async def _out_of_touch(world: World) -> AsyncIterator[Reviewer]:
    """A program that knows two namespaces and the ServiceAccount of one, and loses the watch of namespaces."""
    for one in (SUBJECT, TRUSTED):
        # Too old for a grant that comes before its ServiceAccount.
        world.cluster.namespaces.put(
            one.namespace, LiveNamespace(one.namespace, "uid-1", {LABEL: "cp"}, created=-10_000.0)
        )
    world.cluster.add_account(TRUSTED)
    async with world.running(), reviewing(world) as reviewer:
        await asyncio.sleep(5)
        world.cluster.namespaces.failing_watches = float("inf")
        world.cluster.namespaces.break_watches()
        await asyncio.sleep(0.1)
        assert not world.cache.in_touch
        yield reviewer


async def _back_in_touch(world: World) -> None:
    world.cluster.namespaces.failing_watches = 0
    world.cluster.namespaces.bookmark()
    await asyncio.sleep(30)
    assert world.cache.in_touch


def _has_access(world: World) -> bool:
    return SUBJECT in world.eks.now or SUBJECT in world.trusted_in(ROLE)


MODES = pytest.mark.parametrize("mode", [Mode.IRSA, Mode.POD_IDENTITY])


@MODES
@in_virtual_time
async def test_a_namespace_recreated_without_its_label_gets_nothing(mode: Mode) -> None:
    world = World(labelled(ROLE, mode=mode))
    async with _out_of_touch(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2")
        reply = await reviewer.send(review(SUBJECT))
        assert (reply.allowed, reply.patch) == (True, [])
        world.cluster.add_account(SUBJECT)  # seen by a watch that works: the pass knows only the old namespace
        await asyncio.sleep(200)
        assert not _has_access(world)
        await _back_in_touch(world)
        assert not _has_access(world)


@MODES
@in_virtual_time
async def test_a_live_read_that_shows_the_label_is_enough(mode: Mode) -> None:
    world = World(labelled(ROLE, mode=mode))
    async with _out_of_touch(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
        assert world.cluster.reads == [SUBJECT.namespace]
        assert reply.warnings == []
        assert _has_access(world)
        again = await reviewer.send(review(SUBJECT))
        assert again.response["auditAnnotations"]["trust"] == "already"
        assert world.cluster.reads == [SUBJECT.namespace]


@MODES
@in_virtual_time
async def test_where_the_live_read_fails_trust_waits_for_the_watch(mode: Mode) -> None:
    world = World(labelled(ROLE, mode=mode, existing=ExistingAnnotation.DENY))
    async with _out_of_touch(world) as reviewer:
        world.cluster.failing_reads = 1
        began = now()
        reply = await reviewer.send(review(SUBJECT))
        assert reply.allowed
        assert reply.annotation == (ROLE.value if mode is Mode.IRSA else None)
        assert any("could not be looked up" in warning for warning in reply.warnings)
        assert now() < began + 1
        world.cluster.add_account(SUBJECT, reply.annotation)
        await asyncio.sleep(200)
        assert not _has_access(world)
        await _back_in_touch(world)
        assert _has_access(world)


@in_virtual_time
async def test_where_the_live_read_fails_and_trust_is_a_must_it_is_refused() -> None:
    world = World(labelled(ROLE), refuses=True)
    async with _out_of_touch(world) as reviewer:
        world.cluster.failing_reads = 1
        reply = await reviewer.send(review(SUBJECT))
        assert not reply.allowed
        assert reply.response["status"]["code"] == 503
        trusted = await reviewer.send(review(TRUSTED))
        assert trusted.allowed  # nothing has to be written, so that nothing has to be looked up
        await asyncio.sleep(200)
        assert not _has_access(world)


@in_virtual_time
async def test_a_grant_that_waited_for_aws_is_not_made_once_the_watch_is_lost() -> None:
    world = World(labelled(ROLE))
    world.iam.have(Trouble.HANGS)
    async with _out_of_touch(world) as reviewer:
        await reviewer.send(review(SUBJECT))
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2")
        await asyncio.sleep(30)
        world.iam.recover()
        await asyncio.sleep(200)
        assert not _has_access(world)


@in_virtual_time
async def test_a_trusted_subject_stays_and_is_restored() -> None:
    world = World(labelled(ROLE))
    async with _out_of_touch(world):
        assert world.trusted_in(ROLE) == {TRUSTED}
        world.iam.edit(ROLE, lambda document: document["Statement"].pop())
        assert world.trusted_in(ROLE) == set()
        await asyncio.sleep(200)
        assert world.trusted_in(ROLE) == {TRUSTED}


@pytest.mark.parametrize("reviewed", [False, True])
@MODES
@in_virtual_time
async def test_a_namespace_that_the_watch_never_showed_leaves_nothing_to_the_next_of_its_name(
    mode: Mode, *, reviewed: bool
) -> None:
    world = World(labelled(ROLE, mode=mode))
    new = subject(3)
    async with _out_of_touch(world) as reviewer:
        world.iam.have(Trouble.HANGS)
        world.cluster.add_namespace(new.namespace, uid="uid-1")
        await reviewer.send(review(new))
        await asyncio.sleep(30)
        world.cluster.add_namespace(new.namespace, selected=False, uid="uid-2")
        if reviewed:
            assert (await reviewer.send(review(new))).patch == []
        world.cluster.namespaces.expiring_watches = 1  # what it missed is shown by a list, as it is now
        world.iam.recover()
        await _back_in_touch(world)
        await asyncio.sleep(200)
        assert new not in world.eks.now
        assert new not in world.trusted_in(ROLE)


@in_virtual_time
async def test_an_association_changed_externally_is_corrected_only_where_the_watch_is_certain() -> None:
    world = World(labelled(ROLE, mode=Mode.POD_IDENTITY))
    async with _out_of_touch(world):
        world.eks.edit(TRUSTED, role=role("another").value)
        await asyncio.sleep(200)
        assert world.eks.now[TRUSTED].role == role("another").value
        await _back_in_touch(world)
        await asyncio.sleep(200)
        assert world.eks.now[TRUSTED].role == ROLE.value
