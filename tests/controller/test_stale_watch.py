"""What the watch shows late, what a review has read live, and what waited for long: the newest news decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import simulated_eks
from tests.support.reviews import annotated, review, reviewing
from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import SERVICE_ACCOUNT, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, INTERVAL, World, labelled, of_team
from webhook.model.bindings import Mode
from webhook.model.decisions import Account
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.coordination.leases import Lease

ROLE, GOLD, SILVER = role(), role("gold"), role("silver")
SUBJECT = subject(99)
SECOND = Subject(SUBJECT.namespace, "second")
EXTERNAL = "arn:aws:iam::999999999999:role/hand"


def has_access(world: World, subject: Subject = SUBJECT, one: Any = ROLE) -> bool:
    """Whether it is trusted or associated."""
    return subject in world.eks.now or subject in world.trusted_in(one)


def removes_external(subject: Subject) -> dict[str, Any]:
    """The review of an UPDATE that takes an external annotation away."""
    old = {"name": subject.service_account, "namespace": subject.namespace, "annotations": annotated(EXTERNAL)}
    before = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": old}
    return review(subject, operation="UPDATE", annotations={}, oldObject=before)


def approved(cause: str) -> float:
    """How many removals were approved for a cause."""
    return sample("mxp_identity_removals_approved_total", {"cause": cause}) or 0.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds, an hour at most."""
    for _ in range(360_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def crowd_that_waits(world: World, team: str | None = None) -> None:
    """More ServiceAccounts without annotation than are annotated at the same time."""
    for one in map(subject, range(40)):
        if team:
            world.cluster.add_namespace(one.namespace, selected=False, team=team)
        else:
            world.cluster.add_namespace(one.namespace)
        world.cluster.add_account(one)
    await asyncio.sleep(2)


# What waits to be annotated late


@in_virtual_time
async def test_a_late_annotation_gives_nothing_once_no_binding_selects_the_namespace() -> None:
    world = World(iam=SimulatedIam(limit=131072))
    async with world.running():
        away = world.iam.have(Trouble.THROTTLED)
        await crowd_that_waits(world)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(2)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(1)
        away.off()
        await asyncio.sleep(30)
        assert SUBJECT not in world.trusted_in(ROLE)
        assert world.cluster.annotation(SUBJECT) is None


@in_virtual_time
async def test_a_namespace_that_loses_its_label_while_aws_is_waited_for_is_not_annotated() -> None:
    world = World()
    async with world.running():
        world.iam.have(Trouble.THROTTLED)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(2)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(30)
        assert world.cluster.annotation(SUBJECT) is None


@in_virtual_time
async def test_a_late_annotation_does_not_bring_the_former_binding_back() -> None:
    world = World(of_team("gold"), of_team("silver"), iam=SimulatedIam(limit=131072))
    async with world.running():
        away = world.iam.have(Trouble.THROTTLED)
        await crowd_that_waits(world, team="gold")
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, team="gold")
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(0.5)
        world.cluster.delete_namespace(SUBJECT)
        await asyncio.sleep(0.5)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2", team="silver")
        world.cluster.add_account(SUBJECT, SILVER.value)
        await asyncio.sleep(1)
        away.off()
        await asyncio.sleep(80)
        assert world.homes(SUBJECT) == [SILVER]


# A watch that is out of touch, or behind a live read


@pytest.mark.parametrize("mode", [Mode.POD_IDENTITY, Mode.IRSA])
@in_virtual_time
async def test_a_namespace_labelled_again_while_the_watch_is_interrupted_keeps_its_access(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(labelled(ROLE, mode=mode), iam=SimulatedIam(limit=131072))
    async with world.running():
        crowd = [subject(number) for number in range(30)]
        for one in [*crowd, SUBJECT]:
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one, ROLE.value if mode is Mode.IRSA else None)
        await asyncio.sleep(2 * GRACE)
        for one in crowd:
            world.cluster.delete_namespace(one)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(GRACE - 5)
        monkeypatch.setattr(simulated_eks, "LATENCY", 2.0)
        world.iam.latency = 2.0
        before = approved("not_bound")
        await eventually(lambda: approved("not_bound") > before)
        for source in (world.cluster.namespaces, world.cluster.accounts[SERVICE_ACCOUNT]):
            source.failing_watches = source.failing_lists = 10**9
        world.cluster.break_watches()
        await asyncio.sleep(0.5)
        assert has_access(world)
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(300)
        assert has_access(world)


@pytest.mark.parametrize("mode", [Mode.POD_IDENTITY, Mode.IRSA])
@in_virtual_time
async def test_a_namespace_recreated_right_before_the_removal_keeps_its_access(mode: Mode) -> None:
    """The API server has confirmed the removal, then a review comes, and the watch is two seconds late."""
    world = World(labelled(ROLE, mode=mode))
    async with world.running(), reviewing(world) as reviewer:
        for one in (subject(1), SUBJECT):
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one, ROLE.value if mode is Mode.IRSA else None)
        await asyncio.sleep(2 * GRACE)
        world.cluster.delete_namespace(SUBJECT)
        await asyncio.sleep(GRACE - 10)
        await confirmed(world, late=2.0)
        world.cluster.add_namespace(SUBJECT.namespace, uid="uid-2")
        await asyncio.sleep(0.02)
        await reviewer.send(review(SUBJECT))
        world.cluster.add_account(SUBJECT, ROLE.value if mode is Mode.IRSA else None)
        for _ in range(300):
            assert has_access(world)
            await asyncio.sleep(0.1)


async def confirmed(world: World, late: float) -> None:
    """Wait until the removal was confirmed by a live read, with slow Leases and a watch so late in seconds."""
    world.cluster.namespaces.latency = world.cluster.accounts[SERVICE_ACCOUNT].latency = late
    update = world.leases.update

    async def slow(lease: Lease) -> Lease | None:
        await asyncio.sleep(0.3)
        return await update(lease)

    world.leases.update = slow  # type: ignore[method-assign]
    before = len(world.cluster.reads)
    await eventually(lambda: SUBJECT.namespace in world.cluster.reads[before:])
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("also_first", [False, True])
@in_virtual_time
async def test_a_second_service_account_selected_again_right_before_the_removal_stays_trusted(
    also_first: bool,  # noqa: FBT001
) -> None:
    world = World(labelled(), of_team("second", service_account="second"))
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace, selected=also_first, team="second")
        world.cluster.add_account(SECOND, role("second").value)
        await asyncio.sleep(2 * GRACE)
        world.cluster.add_namespace(SUBJECT.namespace, selected=also_first)
        await asyncio.sleep(GRACE - 10)
        await confirmed(world, late=2.0)
        world.cluster.add_namespace(SUBJECT.namespace, selected=also_first, team="second")
        await asyncio.sleep(0.02)
        await reviewer.send(review(SECOND))
        for _ in range(300):
            assert has_access(world, SECOND, role("second"))
            await asyncio.sleep(0.1)


@in_virtual_time
async def test_a_review_of_a_second_service_account_is_not_dropped_for_an_older_state() -> None:
    world = World(labelled(), of_team("second", service_account="second"), refuses=True)
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(30)
        world.iam.latency = 0.8
        world.cluster.namespaces.latency = 2.0
        world.cluster.add_namespace(SUBJECT.namespace, team="second")
        asked = asyncio.create_task(reviewer.send(review(SECOND)))
        await asyncio.sleep(0.1)
        world.cluster.add_account(SUBJECT)
        reply = await asked
        assert reply.annotation == role("second").value


@in_virtual_time
async def test_out_of_touch_a_live_read_for_one_binding_gives_nothing_of_another() -> None:
    world = World(of_team("gold"), of_team("silver"))
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, team="gold")
        await asyncio.sleep(3 * GRACE)
        world.cluster.namespaces.failing_watches = world.cluster.namespaces.failing_lists = 10**9
        world.cluster.namespaces.break_watches()
        await asyncio.sleep(1)
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(1)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2", team="silver")
        world.iam.latency = 0.5
        reply = await reviewer.send(review(SUBJECT))
        world.cluster.add_account(SUBJECT, reply.annotation)
        await asyncio.sleep(9)
        assert GOLD not in world.homes(SUBJECT)
        assert world.cluster.annotation(SUBJECT) == SILVER.value


# A ServiceAccount that the watch shows as it was before the review


@in_virtual_time
async def test_a_review_that_removes_an_external_annotation_is_not_dropped_for_it() -> None:
    world = World(refuses=True)
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, EXTERNAL)
        await asyncio.sleep(GRACE + 30)
        world.iam.latency = 0.8
        asked = asyncio.create_task(reviewer.send(removes_external(SUBJECT)))
        await asyncio.sleep(0.3)
        world.cluster.add_namespace(SUBJECT.namespace, other="label")
        assert (await asked).annotation == ROLE.value


@in_virtual_time
async def test_a_review_of_a_recreated_service_account_is_not_dropped_for_its_predecessor() -> None:
    world = World(refuses=True)
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.add_namespace(SUBJECT.namespace)
        source = world.cluster.accounts[SERVICE_ACCOUNT]
        source.put(SUBJECT.namespace, Account(SUBJECT.namespace, SERVICE_ACCOUNT, "", being_deleted=True))
        await asyncio.sleep(30)
        world.iam.latency = 0.8
        source.latency = 1.0
        source.remove(SUBJECT.namespace)
        asked = asyncio.create_task(reviewer.send(review(SUBJECT)))
        await asyncio.sleep(0.2)
        world.cluster.add_namespace(SUBJECT.namespace, other="label")
        assert (await asked).allowed


# The limit, and a namespace that never goes


@in_virtual_time
async def test_a_change_of_leader_gives_no_part_of_the_limit_back_that_was_used() -> None:
    world, crowd = World(), [subject(number) for number in range(10)]
    async with world.running():
        for one in crowd:
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one, ROLE.value)
        await asyncio.sleep(GRACE)
        for one in crowd[:3]:
            world.cluster.add_namespace(one.namespace, selected=False)
        await asyncio.sleep(GRACE + 2 * INTERVAL)
        assert world.trusted_in(ROLE) == set(crowd[3:])
        for one in crowd[:3]:
            world.cluster.add_namespace(one.namespace)
        await asyncio.sleep(100)
        for one in crowd[3:6]:
            world.cluster.add_namespace(one.namespace, selected=False)
        await asyncio.sleep(GRACE + 2 * INTERVAL)
        for one in crowd[:3]:
            world.cluster.add_namespace(one.namespace, selected=False)
        await asyncio.sleep(30)
        assert world.trusted_in(ROLE) == set(crowd)
    after = World(before=world, replica="c")
    async with after.running():
        await asyncio.sleep(1200)
        assert now() < 3600
        assert after.trusted_in(ROLE) == set(crowd)


@in_virtual_time
async def test_a_namespace_whose_label_was_removed_keeps_no_trust_by_staying_terminating() -> None:
    world = World()
    async with world.running():
        for one in (SUBJECT, subject(2)):
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one, ROLE.value)
        await asyncio.sleep(GRACE)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(300)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, terminating=True)
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {subject(2)}
