"""Namespaces whose deletion the watch has witnessed: their trust does not count against the limit of an hour."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import binding, own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import GRACE, INTERVAL, LEASE, World, labelled
from webhook.controller.unused import Entry
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Mode
from webhook.podidentity.association import QUOTA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from webhook.model.names import Subject

ROLE = role()
HOUR = 3600.0
SOON = 5.0
"""Seconds within which what does not wait is done, and a grant is made."""

LATEST = INTERVAL + SOON
"""Seconds from the end of a grace until the removal is written."""


def settle(world: World, many: Iterable[Subject]) -> None:
    """Control planes are created."""
    for one in many:
        world.cluster.add_namespace(one.namespace)
        world.cluster.add_account(one, ROLE.value)


def subjects(first: int, count: int) -> list[Subject]:
    """So many of them."""
    return [subject(number) for number in range(first, first + count)]


def over_limit() -> float | None:
    """What waits for the limit of an hour."""
    return sample("mxp_identity_removals_over_limit")


def room_for(count: int) -> SimulatedIam:
    """IAM whose quota is exactly enough for so many."""
    iam = SimulatedIam()
    world_document = TrustPolicy(World(iam=iam).iam.document(ROLE))
    iam.limit = world_document.with_subjects(own_in(ROLE), subjects(0, count)).size()
    return iam


@asynccontextmanager
async def two_replicas(iam: SimulatedIam | None = None) -> AsyncIterator[tuple[World, World, asyncio.Event]]:
    """The leader, the one that follows it, and what ends the leader."""
    first = World(iam=iam or SimulatedIam(limit=8192), replica="a")
    second, ended = World(before=first, replica="b"), asyncio.Event()

    async def lead() -> None:
        async with first.running():
            await ended.wait()

    leader = asyncio.create_task(lead())
    await asyncio.sleep(3)
    async with second.running():
        yield first, second, ended
        ended.set()
        await leader


@in_virtual_time
async def test_short_lived_control_planes_are_removed_as_fast_as_they_come_and_each_new_one_is_trusted() -> None:
    """Ten that stay, and four an hour that live for ten minutes; the policy has room for 14."""
    world = World(iam=room_for(14))
    stay = subjects(0, 10)
    async with world.running():
        settle(world, stay)
        for number in range(100, 100 + 12 * 4):
            one = subject(number)
            settle(world, [one])
            await asyncio.sleep(SOON)
            assert one in world.trusted_in(ROLE)
            await asyncio.sleep(600)
            world.cluster.delete_namespace(one)
            await asyncio.sleep(HOUR / 4 - 600 - SOON)
            assert over_limit() == 0
        await asyncio.sleep(GRACE + LATEST)
        assert world.trusted_in(ROLE) == set(stay)


@in_virtual_time
async def test_forty_namespaces_of_half_a_minute_leave_no_trust_and_do_not_delay_a_revocation() -> None:
    """Beside eight that stay, where 34 have room; an administrator unlabels one of the eight meanwhile."""
    world = World(iam=room_for(34))
    stay, flood = subjects(0, 8), subjects(100, 40)
    async with world.running():
        settle(world, stay)
        await asyncio.sleep(GRACE)
        settle(world, flood)
        await asyncio.sleep(SOON)
        assert len(world.trusted_in(ROLE)) == 34
        world.cluster.add_namespace(stay[0].namespace, selected=False)
        await asyncio.sleep(30 - SOON)
        for one in flood:
            world.cluster.delete_namespace(one)
        await asyncio.sleep(GRACE + LATEST)
        assert world.trusted_in(ROLE) == set(stay[1:])


@in_virtual_time
async def test_deletions_that_nothing_witnessed_are_removed_at_the_rate_of_the_limit() -> None:
    """As above, but the watch never shows a namespace terminating: three of an hour, the longest unused first."""
    world = World(iam=SimulatedIam(limit=8192))
    crowd = subjects(0, 12)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd:
            world.cluster.remove_namespace(one)
            await asyncio.sleep(1)
        await asyncio.sleep(GRACE + LATEST)
        for gone in (3, 6, 9, 12):
            assert world.trusted_in(ROLE) == set(crowd[gone:])
            assert over_limit() == 12 - gone
            await asyncio.sleep(HOUR)


# What counts as witnessed


@in_virtual_time
async def test_thirty_deletions_leave_no_room_of_the_limit_used_for_removed_labels() -> None:
    world = World(iam=SimulatedIam(limit=16384))
    stay, deleted = subjects(0, 10), subjects(100, 30)
    async with world.running():
        settle(world, [*stay, *deleted])
        await asyncio.sleep(GRACE)
        for one in deleted:
            world.cluster.delete_namespace(one)
        await asyncio.sleep(GRACE + LATEST)
        assert world.trusted_in(ROLE) == set(stay)
        for one in stay[:6]:
            world.cluster.add_namespace(one.namespace, selected=False)
        await asyncio.sleep(GRACE + LATEST)
        assert len(world.trusted_in(ROLE)) == 10 - 3
        assert over_limit() == 3


@pytest.mark.parametrize("gap", ["the watch breaks", "versions are compacted"])
@in_virtual_time
async def test_a_deletion_that_ended_while_the_watch_was_interrupted_counts(gap: str) -> None:
    world = World(iam=SimulatedIam(limit=8192))
    crowd = subjects(0, 12)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd:
            world.cluster.add_namespace(one.namespace, terminating=True)
        await asyncio.sleep(1)
        world.cluster.break_watches()
        if gap == "versions are compacted":
            world.cluster.forget()
        for one in crowd:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE + 2 * LATEST)
        assert len(world.trusted_in(ROLE)) == 9


@in_virtual_time
async def test_a_label_removed_from_a_namespace_that_was_recreated_after_a_witnessed_deletion_counts() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    crowd = subjects(0, 12)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd:
            world.cluster.delete_namespace(one)
            world.cluster.add_namespace(one.namespace, uid="uid-2")
            world.cluster.add_account(one, ROLE.value)
        await asyncio.sleep(SOON)
        for one in crowd:
            world.cluster.add_namespace(one.namespace, uid="uid-2", selected=False)
        await asyncio.sleep(GRACE + LATEST)
        assert len(world.trusted_in(ROLE)) == 9


@in_virtual_time
async def test_a_witnessed_deletion_that_the_api_server_denies_is_no_reason() -> None:
    """As after a restore to the moment before: the same one is there again, and the watch does not show it."""
    world = World()
    async with world.running():
        settle(world, subjects(0, 2))
        await asyncio.sleep(GRACE)
        accounts = world.cluster.accounts[subject(0).service_account]
        there = dict(world.cluster.namespaces.objects), dict(accounts.objects)
        world.cluster.delete_namespace(subject(0))
        await asyncio.sleep(1)
        world.cluster.namespaces.objects.update(there[0])
        accounts.objects.update(there[1])
        await asyncio.sleep(GRACE + 2 * LATEST)
        assert world.trusted_in(ROLE) == set(subjects(0, 2))


# A change of leader


@in_virtual_time
async def test_a_new_leader_has_witnessed_the_deletions_too_and_begins_no_grace_again() -> None:
    async with two_replicas() as (_, world, end_of_the_first):
        crowd = subjects(0, 12)
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd[:8]:
            world.cluster.delete_namespace(one)
        world.cluster.add_namespace(crowd[8].namespace, selected=False)
        await asyncio.sleep(GRACE - INTERVAL)
        end_of_the_first.set()
        await asyncio.sleep(INTERVAL - 10)
        assert world.trusted_in(ROLE) == set(crowd)
        await asyncio.sleep(10 + LATEST)
        assert world.trusted_in(ROLE) == set(crowd[9:])


@in_virtual_time
async def test_a_process_that_has_witnessed_nothing_counts_whatever_the_lease_says() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    crowd = subjects(0, 12)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd:
            world.cluster.delete_namespace(one)
        await asyncio.sleep(INTERVAL)
    lease = world.leases.leases[LEASE]
    assert set(lease.witnessed) == {Entry(ROLE, one).digest for one in crowd}, "a hint for `plan`"
    world = World(before=world)
    async with world.running():
        await asyncio.sleep(GRACE + 2 * LATEST)
        assert len(world.trusted_in(ROLE)) == 9


# No room


@pytest.mark.parametrize("leaves", ["deleted", "deleted, not witnessed", "label removed"])
@in_virtual_time
async def test_with_no_room_for_a_new_subject_only_a_witnessed_deletion_gives_way_at_once(leaves: str) -> None:
    world = World(iam=room_for(8))
    crowd, newcomer = subjects(0, 8), subject(8)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        match leaves:
            case "deleted":
                world.cluster.delete_namespace(crowd[0])
            case "deleted, not witnessed":
                world.cluster.remove_namespace(crowd[0])
            case _:
                world.cluster.add_namespace(crowd[0].namespace, selected=False)
        await asyncio.sleep(1)
        settle(world, [newcomer])
        await asyncio.sleep(SOON)
        if leaves == "deleted":
            assert world.trusted_in(ROLE) == {*crowd[1:], newcomer}
            return
        assert world.trusted_in(ROLE) == set(crowd)
        await asyncio.sleep(GRACE - 2 * SOON)
        assert world.trusted_in(ROLE) == set(crowd)
        await asyncio.sleep(2 * LATEST)
        assert world.trusted_in(ROLE) == {*crowd[1:], newcomer}


@in_virtual_time
async def test_with_no_room_in_any_role_of_a_pool_a_witnessed_deletion_gives_way_and_the_newcomer_is_trusted() -> (
    None
):
    iam, roles = room_for(4), pool(3)
    world = World(labelled(*roles), iam=iam)
    crowd, newcomer = subjects(0, 12), subject(12)
    async with world.running():
        for one in crowd:
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one)
        await asyncio.sleep(GRACE)
        assert all(world.homes(one) for one in crowd)
        world.cluster.delete_namespace(crowd[5])
        world.cluster.add_namespace(newcomer.namespace)
        await asyncio.sleep(SOON)
        assert world.homes(newcomer)
        assert not world.homes(crowd[5])


@in_virtual_time
async def test_with_room_in_one_role_of_a_pool_a_witnessed_deletion_waits_for_its_grace() -> None:
    iam, roles = room_for(4), pool(3)
    world = World(labelled(*roles), iam=iam)
    crowd = subjects(0, 11)
    async with world.running():
        for one in crowd:
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one)
        await asyncio.sleep(GRACE)
        for one in crowd:
            world.cluster.delete_namespace(one)
        await asyncio.sleep(GRACE - SOON)
        assert all(world.homes(one) for one in crowd)


@in_virtual_time
async def test_with_as_many_associations_as_eks_allows_a_witnessed_deletion_gives_way() -> None:
    world = World(binding(ROLE, mode=Mode.POD_IDENTITY))
    crowd, newcomer = subjects(0, 4), subject(4)
    for number in range(QUOTA - len(crowd)):
        world.eks.put(subject(10_000 + number), ROLE.value)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        world.cluster.delete_namespace(crowd[0])
        await asyncio.sleep(SOON)
        assert newcomer not in world.eks.now
        settle(world, [newcomer])
        await asyncio.sleep(INTERVAL + SOON)
        assert crowd[0] not in world.eks.now
        assert newcomer in world.eks.now


@in_virtual_time
async def test_with_no_room_what_nothing_witnessed_gives_way_within_the_limit_and_not_beyond() -> None:
    world = World(iam=room_for(8))
    crowd, newcomers = subjects(0, 8), subjects(8, 5)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        for one in crowd[:5]:
            world.cluster.remove_namespace(one)
        settle(world, newcomers)
        await asyncio.sleep(GRACE + 2 * LATEST)
        assert len(world.trusted_in(ROLE) & set(crowd)) == 5
        assert len(world.trusted_in(ROLE) & set(newcomers)) == 3


@in_virtual_time
async def test_with_room_a_witnessed_deletion_waits_for_its_grace() -> None:
    world = World(iam=room_for(8))
    crowd = subjects(0, 7)
    async with world.running():
        settle(world, crowd)
        await asyncio.sleep(GRACE)
        world.cluster.delete_namespace(crowd[0])
        await asyncio.sleep(GRACE - SOON)
        assert world.trusted_in(ROLE) == set(crowd)
        await asyncio.sleep(LATEST)
        assert world.trusted_in(ROLE) == set(crowd[1:])


# Recreated without the label


@pytest.mark.parametrize("way", ["recreated", "recreated and deleted again"])
@in_virtual_time
async def test_trust_of_a_namespace_recreated_without_its_label_is_removed_once_it_is_shown(
    way: str,
) -> None:
    """By a leader that follows the one that saw the deletion; a finalizer may hold up the recreated one."""
    async with two_replicas() as (_, world, end_of_the_first):
        one, other = subjects(0, 2)
        settle(world, [one, other])
        await asyncio.sleep(GRACE)
        world.cluster.delete_namespace(one)
        await asyncio.sleep(INTERVAL / 2)
        end_of_the_first.set()
        await asyncio.sleep(INTERVAL / 2)
        world.cluster.add_namespace(one.namespace, selected=False, uid="uid-2")
        if way == "recreated and deleted again":
            world.cluster.add_namespace(one.namespace, selected=False, uid="uid-2", terminating=True)
        await asyncio.sleep(SOON)
        assert world.trusted_in(ROLE) == {other}


@in_virtual_time
async def test_a_namespace_recreated_with_its_label_keeps_its_trust_while_the_watch_still_shows_no_label() -> None:
    """The API server knows more than the watch: it is selected, and only lacks its ServiceAccount yet."""
    world = World()
    async with world.running():
        one, other = subjects(0, 2)
        settle(world, [one, other])
        await asyncio.sleep(GRACE)
        world.cluster.delete_namespace(one)
        world.cluster.add_namespace(one.namespace, selected=False, uid="uid-2")
        shown = world.cluster.namespaces.objects
        shown[one.namespace] = replace(shown[one.namespace], labels=shown[other.namespace].labels)
        await asyncio.sleep(GRACE / 2)
        assert world.trusted_in(ROLE) == {one, other}


# Terminating for days


@in_virtual_time
async def test_a_namespace_that_stays_terminating_is_reported_after_an_hour_and_trusted_until_it_is_gone() -> None:
    async with two_replicas() as (_, world, end_of_the_first):
        one, other = subjects(0, 2)
        settle(world, [one, other])
        world.cluster.add_namespace("mxp-9-system", selected=False, terminating=True)
        await asyncio.sleep(GRACE)
        world.cluster.add_namespace(one.namespace, terminating=True)
        await asyncio.sleep(HOUR - INTERVAL)
        assert _stuck() == 0
        end_of_the_first.set()
        await asyncio.sleep(2 * INTERVAL)
        assert _stuck() == 1
        assert world.trusted_in(ROLE) == {one, other}
        world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE + LATEST)
        assert _stuck() == 0
        assert world.trusted_in(ROLE) == {other}


def _stuck() -> float | None:
    return sample("mxp_identity_namespaces_stuck_terminating")
