"""Unused associations are removed by the rules of every removal, and only those that are ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.pods import OWNER
from tests.support.samples import sample
from tests.support.simulated_cluster import LABEL
from tests.support.simulated_eks import ADDON, Trouble, refusal
from tests.support.sites import binding, own_in, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import GRACE, INTERVAL, LEASE, World
from webhook.controller.unused import Entry
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import Mode
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

ROLE = role()
SUBJECT = subject(1)
LONGEST_DELAY = INTERVAL + 5


def pods_world() -> World:
    return World(binding(ROLE, mode=Mode.POD_IDENTITY))


def settle(world: World, *numbers: int) -> None:
    for number in numbers:
        world.cluster.add_namespace(subject(number).namespace)
        world.cluster.add_account(subject(number))


def leave(world: World, what: str) -> None:
    if what == "namespace gone":
        world.cluster.remove_namespace(SUBJECT)
    else:
        world.cluster.remove_account(SUBJECT)


@pytest.mark.parametrize("what", ["namespace gone", "account gone"])
@in_virtual_time
async def test_a_deleted_subject_is_associated_until_the_grace_is_over_and_no_longer(what: str) -> None:
    world = pods_world()
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(2 * GRACE)
        leave(world, what)
        await asyncio.sleep(GRACE - 1)
        assert set(world.eks.now) == {SUBJECT, subject(2)}
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert set(world.eks.now) == {subject(2)}
        made = world.eks.calls["create"]
        await asyncio.sleep(2 * GRACE)
        assert world.eks.calls["create"] == made


@in_virtual_time
async def test_a_namespace_recreated_within_the_grace_keeps_its_association() -> None:
    world = pods_world()
    async with world.running():
        settle(world, 1)
        await asyncio.sleep(GRACE)
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(0.9 * GRACE)
        settle(world, 1)
        await asyncio.sleep(3 * GRACE)
        assert set(world.eks.now) == {SUBJECT}
        assert world.eks.calls["delete"] == 0


@in_virtual_time
async def test_a_recreated_namespace_that_is_not_selected_loses_its_association_in_the_next_pass() -> None:
    by_label = NamespaceSelector((Requirement(LABEL, Operator.EXISTS),), NamePattern("mxp-*-system"))
    world = World(replace(binding(ROLE, mode=Mode.POD_IDENTITY), namespaces=by_label))
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(GRACE)
        world.cluster.remove_namespace(SUBJECT)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2")
        await asyncio.sleep(LONGEST_DELAY)
        assert set(world.eks.now) == {subject(2)}


@in_virtual_time
async def test_an_external_association_stays_though_unused() -> None:
    world = pods_world()
    theirs = world.eks.put(SUBJECT, ROLE.value)
    of_an_addon = world.eks.put(subject(2), ROLE.value, owner_arn=ADDON, tags=OWNER.tags())
    async with world.running():
        settle(world, 3)
        await asyncio.sleep(3 * GRACE)
        assert (world.eks.now[SUBJECT], world.eks.now[subject(2)]) == (theirs, of_an_addon)
        assert world.eks.calls["delete"] == 0


@in_virtual_time
async def test_an_unused_association_of_ours_from_before_the_start_is_found_and_deleted() -> None:
    world = pods_world()
    world.eks.put(SUBJECT, ROLE.value, tags=OWNER.tags())
    async with world.running():
        settle(world, 2)
        await asyncio.sleep(GRACE + 3 * LONGEST_DELAY)
        assert set(world.eks.now) == {subject(2)}


@in_virtual_time
async def test_no_more_than_an_hours_limit_are_removed_and_the_rest_waits() -> None:
    world = pods_world()
    async with world.running():
        settle(world, *range(20))
        await asyncio.sleep(GRACE)
        for number in range(10):
            world.cluster.remove_namespace(subject(number))
        await asyncio.sleep(3 * GRACE)
        assert len(world.eks.now) == 16
        assert sample("mxp_identity_removals_over_limit") == 6


@in_virtual_time
async def test_while_the_watch_is_out_of_touch_none_is_removed_though_the_api_server_would_confirm_it() -> None:
    world = pods_world()
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(GRACE)
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(GRACE - INTERVAL)
        world.cluster.namespaces.failing_watches = world.cluster.namespaces.failing_lists = float("inf")
        world.cluster.break_watches()
        await asyncio.sleep(2 * GRACE)
        assert set(world.eks.now) == {SUBJECT, subject(2)}


@in_virtual_time
async def test_what_the_api_server_itself_still_wants_keeps_it() -> None:
    world = pods_world()
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(GRACE)
        world.cluster.namespaces.objects.pop(SUBJECT.namespace)  # as after a restore: gone here, and soon back
        settle(world, 1)
        await asyncio.sleep(3 * GRACE)
        assert set(world.eks.now) == {SUBJECT, subject(2)}


@in_virtual_time
async def test_after_a_change_of_mode_trust_stays_where_pods_may_still_use_it_by_annotation() -> None:
    world = pods_world()
    world.iam.edit(ROLE, lambda document: document["Statement"].append(own_in(ROLE).render([SUBJECT, subject(2)])))
    async with world.running():
        settle(world, 2)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, ROLE.value)
        await asyncio.sleep(GRACE + 3 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {SUBJECT}
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(GRACE + 3 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set()
        assert set(world.eks.now) == {SUBJECT, subject(2)}


@pytest.mark.parametrize("mode", [Mode.IRSA, Mode.ANNOTATE])
@in_virtual_time
async def test_after_a_change_to_another_mode_an_association_stays_while_its_binding_still_lists_the_role(
    mode: Mode,
) -> None:
    moved, dropped = subject(1), subject(2)
    still = replace(binding(role("still"), mode=Mode.POD_IDENTITY), name="still", service_account="other")
    world = World(binding(ROLE, mode=mode), still)
    world.eks.put(moved, ROLE.value, tags=OWNER.tags())
    world.eks.put(dropped, role("no-longer-bound").value, tags=OWNER.tags())
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(GRACE + 3 * LONGEST_DELAY)
        assert set(world.eks.now) == {moved}
        world.cluster.remove_namespace(moved)
        await asyncio.sleep(3600 + GRACE)  # more leave than an hour's limit allows
        assert set(world.eks.now) == set()


@in_virtual_time
async def test_an_association_with_a_role_that_no_binding_can_name_is_removed_like_any_other() -> None:
    world = pods_world()
    odd, other = subject(7), subject(8)
    world.eks.put(odd, "arn:aws:iam::123456789012:role/a!b/other", tags=OWNER.tags())
    world.eks.put(other, ROLE.value, tags=OWNER.tags())
    async with world.running():
        settle(world, 1, 2)
        await asyncio.sleep(GRACE + 3 * LONGEST_DELAY)
        assert set(world.eks.now) == {subject(1), subject(2)}


@pytest.mark.parametrize("applied", [False, True], ids=["not deleted", "deleted, and the answer lost"])
@in_virtual_time
async def test_what_a_leader_had_approved_and_not_deleted_is_done_by_the_next(applied: bool) -> None:  # noqa: FBT001
    """The leader dies over the first deletion; the next, a new process, may still remove all three of an hour."""
    world = pods_world()
    async with world.running():
        settle(world, *range(6))
        await asyncio.sleep(GRACE)
        for number in range(3):
            world.cluster.remove_namespace(subject(number))
        world.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "delete", applied=applied))
        world.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "delete", times=1000))
        while world.eks.calls["delete"] < 3:  # noqa: ASYNC110  in the middle of the first round, and not later
            await asyncio.sleep(0.1)
    await world.grants.close()
    world.eks.recover()
    assert len(world.eks.now) == 6 - applied
    approved = {Entry(ROLE, subject(number), associated=True).digest for number in range(3)}
    assert set(world.leases.leases[LEASE].removing) == approved
    after = World(*world.bindings, before=world)
    async with after.running():
        await asyncio.sleep(GRACE - INTERVAL)
        assert len(world.eks.now) == 6 - applied, "it begins a new grace"
        await asyncio.sleep(INTERVAL + 2 * LONGEST_DELAY)
        assert set(world.eks.now) == {subject(number) for number in range(3, 6)}
        assert sample("mxp_identity_removals_over_limit") == 0
