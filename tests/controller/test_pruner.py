"""Unused trust is removed: after the grace, at the rate of the limit, and if the API server says so too."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.invariants import assert_writes_were_careful, never_dropped
from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, INTERVAL, LEASE, World, labelled
from webhook.controller.unused import Entry
from webhook.model.bindings import ExistingAnnotation
from webhook.model.selectors import NamespaceSelector, Operator, Requirement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.model.bindings import Binding
    from webhook.model.names import RoleArn, Subject

ROLE, OTHER = role(), role("mxp-archive")
SUBJECT = subject(1)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"
TIER = "tier"
LONGEST_DELAY = INTERVAL + 5
"""Seconds from when a removal is due until the removal is written."""


def _settle(world: World, *subject: Subject) -> None:
    """Control planes that have been there for long."""
    for one in subject:
        world.cluster.add_namespace(one.namespace)
        world.cluster.add_account(one, ROLE.value)


@asynccontextmanager
async def _settled() -> AsyncIterator[World]:
    """A program beside two control planes that have been there for longer than the grace."""
    world = World()
    async with world.running():
        _settle(world, SUBJECT, subject(2))
        await asyncio.sleep(GRACE)
        yield world


def _of_tier(tier: str) -> Binding:
    """A binding to the usual role of the namespaces with a label."""
    selector = NamespaceSelector((Requirement(TIER, Operator.IN, frozenset({tier})),))
    return replace(labelled(ROLE, name=tier), namespaces=selector)


def _trust_by_hand(world: World, one: RoleArn) -> None:
    world.iam.edit(one, lambda document: document["Statement"].append(own_in(one).render([SUBJECT])))


def _have_another_lead(world: World, renewal: int) -> None:
    found = world.leases.leases[LEASE]
    world.leases.leases[LEASE] = replace(found, holder="b", renewals=renewal, version=f"of b {renewal}")


async def _crowd(world: World) -> list[Subject]:
    """Twenty control planes that have been there for the grace."""
    crowd = [subject(number) for number in range(20)]
    _settle(world, *crowd)
    await asyncio.sleep(GRACE)
    return crowd


def _lose_touch(world: World) -> None:
    """No list and no watch is answered any more."""
    for source in (world.cluster.namespaces, world.cluster.accounts[SUBJECT.service_account]):
        source.failing_watches = source.failing_lists = float("inf")
    world.cluster.break_watches()


def _over_limit() -> float | None:
    return sample("mxp_identity_removals_over_limit")


def _leave(world: World, what: str) -> None:
    match what:
        case "namespace deleted":
            world.cluster.delete_namespace(SUBJECT)
        case "namespace gone":
            world.cluster.remove_namespace(SUBJECT)
        case "account gone":
            world.cluster.remove_account(SUBJECT)
        case "label removed":
            world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        case "annotation changed":
            world.cluster.add_account(SUBJECT, EXTERNAL_ROLE)
        case _:
            raise AssertionError(what)


@pytest.mark.parametrize(
    "what", ["namespace deleted", "namespace gone", "account gone", "label removed", "annotation changed"]
)
@in_virtual_time
async def test_a_deleted_subject_is_trusted_until_the_grace_is_over_and_no_longer(what: str) -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT, subject(2))
        await asyncio.sleep(2 * GRACE)
        _leave(world, what)
        await asyncio.sleep(GRACE - 1)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}
        reported = "TrustRemoved" in world.events.reasons()
        assert reported == (what in {"label removed", "annotation changed"}), (
            "where there is a ServiceAccount to report it on"
        )
        world.iam.calls.clear()
        await asyncio.sleep(2 * GRACE)
        assert world.iam.made("write") == []
        assert_writes_were_careful(world.iam, own_in, {SUBJECT, subject(2)})


@pytest.mark.parametrize("what", ["subject moved", "binding removed"])
@in_virtual_time
async def test_a_subject_bound_to_another_role_is_trusted_in_the_old_one_until_the_grace_is_over(
    what: str,
) -> None:
    """By another label, or because a replica starts without the binding; the old role is bound all the same."""
    gold, silver = _of_tier("gold"), _of_tier("silver")
    usual = labelled(OTHER, name="usual", existing=ExistingAnnotation.OVERRIDE)
    world = World(gold, silver, usual)
    async with world.running():
        for account, tier in ((SUBJECT, "gold"), (subject(2), "silver")):
            world.cluster.add_namespace(account.namespace, tier=tier)
            world.cluster.add_account(account, ROLE.value)
        await asyncio.sleep(2 * GRACE)
        assert (world.homes(SUBJECT), world.homes(subject(2))) == ([ROLE], [ROLE])
        if what == "subject moved":
            world.cluster.add_namespace(SUBJECT.namespace, tier="none")
            await _see_it_move_after_the_grace(world)
    if what == "binding removed":
        world = World(silver, usual, before=world)
        async with world.running():
            await _see_it_move_after_the_grace(world)


async def _see_it_move_after_the_grace(world: World) -> None:
    await asyncio.sleep(GRACE - 2)
    assert world.cluster.annotation(SUBJECT) == OTHER.value
    assert set(world.homes(SUBJECT)) == {ROLE, OTHER}
    await asyncio.sleep(2 * LONGEST_DELAY)
    assert (world.homes(SUBJECT), world.homes(subject(2))) == ([OTHER], [ROLE])
    assert_writes_were_careful(world.iam, own_in, {SUBJECT, subject(2)})


@in_virtual_time
async def test_our_statement_is_removed_with_its_last_subject() -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT)
        await asyncio.sleep(60)
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert not any(own_in(ROLE).owns(one) for one in world.iam.document(ROLE)["Statement"])


@in_virtual_time
async def test_a_recreated_namespace_that_is_still_selected_keeps_its_trust() -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT)
        await asyncio.sleep(GRACE)
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(0.9 * GRACE)
        world.cluster.add_namespace(SUBJECT.namespace, uid="uid-2")
        world.cluster.add_account(SUBJECT, ROLE.value)
        world.iam.calls.clear()
        await asyncio.sleep(3 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT}
        assert world.iam.made("write") == []


@in_virtual_time
async def test_a_recreated_namespace_that_is_not_selected_loses_its_trust_in_the_next_pass() -> None:
    async with _settled() as world:
        world.cluster.remove_namespace(SUBJECT)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2")
        await asyncio.sleep(LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


@in_virtual_time
async def test_a_subject_wanted_again_for_a_moment_is_trusted_for_a_whole_new_grace() -> None:
    async with _settled() as world:
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(GRACE - 100)
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(1)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(GRACE - 1)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


@in_virtual_time
async def test_a_recreated_namespace_that_the_api_server_shows_selected_keeps_its_trust() -> None:
    """By the watch it is not selected, and would leave at once; by the API server it only lacks its account."""
    async with _settled() as world:
        world.cluster.remove_namespace(SUBJECT)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False, uid="uid-2")
        shown = world.cluster.namespaces.objects
        shown[SUBJECT.namespace] = replace(shown[SUBJECT.namespace], labels=shown[subject(2).namespace].labels)
        await asyncio.sleep(GRACE - 10)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}


@in_virtual_time
async def test_a_service_account_that_a_later_step_rejected_is_trusted_for_the_grace_and_not_again() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(GRACE - INTERVAL)
        assert world.trusted_in(ROLE) == {SUBJECT}
        await asyncio.sleep(3 * INTERVAL)
        assert world.trusted_in(ROLE) == set()
        world.iam.calls.clear()
        await asyncio.sleep(3 * GRACE)
        assert world.iam.made("write") == []
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(1)
        assert world.trusted_in(ROLE) == {SUBJECT}


@in_virtual_time
async def test_a_namespace_that_is_on_its_way_out_keeps_its_trust_until_it_is_gone() -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT)
        await asyncio.sleep(60)
        world.cluster.add_namespace(SUBJECT.namespace, terminating=True)
        await asyncio.sleep(3 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT}


@in_virtual_time
async def test_a_subject_that_two_roles_trust_stays_where_its_annotation_points() -> None:
    world = World(labelled(*pool(2)))
    first, second = pool(2)
    for one in (first, second):
        _trust_by_hand(world, one)
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster.add_account(SUBJECT, second.value)
    async with world.running():
        await asyncio.sleep(GRACE - INTERVAL)
        assert world.homes(SUBJECT) == [first, second]
        await asyncio.sleep(3 * INTERVAL)
        assert world.homes(SUBJECT) == [second]


@in_virtual_time
async def test_a_subject_wanted_again_before_the_write_stays() -> None:
    """The removal is approved while IAM is away; meanwhile the namespace is selected again."""
    async with _settled() as world:
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(GRACE - 30)
        world.iam.have(Trouble.HANGS)
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(1)
        world.iam.recover()
        await asyncio.sleep(GRACE)
        assert never_dropped(world.iam, ROLE, own_in(ROLE))


@pytest.mark.parametrize("lag", [0.0, 3.0, 30.0])
@in_virtual_time
async def test_stale_reads_cause_one_write_for_a_removal_and_bring_no_subject_back(lag: float) -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT, subject(2))
        await asyncio.sleep(2 * GRACE)
        world.iam.stale = lag
        world.cluster.remove_namespace(SUBJECT)
        world.iam.calls.clear()
        await asyncio.sleep(GRACE + 4 * INTERVAL)
        assert world.trusted_in(ROLE) == {subject(2)}
        assert len(world.iam.made("write")) == 1


@in_virtual_time
async def test_a_role_that_is_gone_does_not_delay_removals_from_others() -> None:
    world = World(labelled(*pool(2)))
    first, second = pool(2)
    _trust_by_hand(world, second)
    async with world.running():
        world.iam.delete(first)
        await asyncio.sleep(GRACE + 3 * INTERVAL)
        assert world.trusted_in(second) == set()


# What the API server says when it is not well


@pytest.mark.parametrize("said", ["nothing", "half"])
@in_virtual_time
async def test_a_list_that_is_empty_or_cut_short_removes_no_more_than_the_limit_of_an_hour(said: str) -> None:
    world = World(iam=SimulatedIam(limit=8192))
    crowd = {subject(number) for number in range(20)}
    async with world.running():
        _settle(world, *crowd)
        await asyncio.sleep(GRACE)
        names = sorted(world.cluster.namespaces.objects)
        for name in names if said == "nothing" else names[::2]:
            world.cluster.namespaces.remove(name)
        await asyncio.sleep(GRACE + LONGEST_DELAY)
        assert len(world.trusted_in(ROLE)) == 16
        await asyncio.sleep(3600 - 2 * LONGEST_DELAY)
        assert len(world.trusted_in(ROLE)) == 16
        assert _over_limit() == (16 if said == "nothing" else 6)
        assert world.trusted_in(ROLE) >= {
            one for one in crowd if one.namespace in world.cluster.namespaces.objects
        }


@in_virtual_time
async def test_a_watch_that_lost_what_the_api_server_still_has_removes_nothing() -> None:
    world = World()
    async with world.running():
        _settle(world, SUBJECT, subject(2), subject(3))
        await asyncio.sleep(GRACE)
        world.cluster.namespaces.lose(SUBJECT.namespace)
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2), subject(3)}


@in_virtual_time
async def test_what_a_list_lacked_and_a_later_one_shows_without_its_label_has_the_whole_grace_from_then() -> None:
    """It may have been wanted all the while, for all that is known."""
    async with _settled() as world:
        world.cluster.namespaces.lose(SUBJECT.namespace)
        await asyncio.sleep(GRACE - INTERVAL)
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        await asyncio.sleep(GRACE - 1)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


@in_virtual_time
async def test_an_api_server_that_is_away_for_longer_than_the_grace_removes_nothing() -> None:
    async with _settled() as world:
        _lose_touch(world)
        world.cluster.forget()
        world.cluster.failing_reads = float("inf")
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        for source in (world.cluster.namespaces, world.cluster.accounts[SUBJECT.service_account]):
            source.failing_watches = source.failing_lists = 0
        world.cluster.failing_reads = 0
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}


@in_virtual_time
async def test_while_the_watch_is_out_of_touch_nothing_is_removed_though_the_api_server_would_confirm_it() -> None:
    async with _settled() as world:
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(GRACE - INTERVAL)
        _lose_touch(world)
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}


@in_virtual_time
async def test_a_removal_that_cannot_be_confirmed_waits_until_it_can() -> None:
    async with _settled() as world:
        world.cluster.remove_namespace(SUBJECT)
        world.cluster.failing_reads = float("inf")
        await asyncio.sleep(2 * GRACE)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        world.cluster.failing_reads = 0
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


# The limit


@in_virtual_time
async def test_the_limit_is_a_rate_the_longest_unused_first_and_the_rest_waits_and_is_shown() -> None:
    """Labels removed from all, one after the other: four of the hour, and of each hour after that as many."""
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        crowd = await _crowd(world)
        for one in crowd:
            world.cluster.add_namespace(one.namespace, selected=False)
            await asyncio.sleep(1)
        await asyncio.sleep(GRACE + LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(crowd[4:])
        assert _over_limit() == 16
        for trusted in (13, 10, 7):
            await asyncio.sleep(3600)
            assert world.trusted_in(ROLE) == set(crowd[-trusted:])
            assert _over_limit() == trusted


@in_virtual_time
async def test_what_the_watch_lost_and_the_api_server_still_has_keeps_nothing_else_from_being_removed() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        crowd = await _crowd(world)
        for one in crowd[:8]:
            world.cluster.namespaces.lose(one.namespace)
        await asyncio.sleep(60)
        world.cluster.add_namespace(crowd[19].namespace, selected=False)
        await asyncio.sleep(GRACE + 4 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(crowd[:19])


@in_virtual_time
async def test_what_is_recreated_without_the_label_comes_first_within_the_limit() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        crowd = await _crowd(world)
        for one in crowd[:3]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE - INTERVAL)
        for one in crowd[5:15]:
            world.cluster.remove_namespace(one)
            world.cluster.add_namespace(one.namespace, selected=False, uid="uid-2")
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(crowd) - set(crowd[5:9]), "of those too as many as the limit allows"


@in_virtual_time
async def test_removals_spread_thinly_over_many_roles_count_together() -> None:
    roles = pool(10)
    world = World(labelled(*roles))
    crowd = [subject(number) for number in range(40)]
    async with world.running():
        for one in crowd:
            world.cluster.add_namespace(one.namespace)
            world.cluster.add_account(one)
        await asyncio.sleep(GRACE)
        for one in crowd[:10]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(5 * GRACE)
        assert sum(not world.homes(one) for one in crowd) == 8
        assert _over_limit() == 2


@in_virtual_time
async def test_as_many_as_the_limit_are_removed_within_an_hour_and_more_after_it() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        crowd = await _crowd(world)
        for one in crowd[:4]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(crowd[4:])
        world.cluster.remove_namespace(crowd[4])
        await asyncio.sleep(2 * GRACE)
        assert crowd[4] in world.trusted_in(ROLE)
        await asyncio.sleep(3600)
        assert world.trusted_in(ROLE) == set(crowd[5:])


@in_virtual_time
async def test_a_removal_approved_and_not_written_yet_makes_no_room_for_another() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    crowd = [subject(number) for number in range(25)]
    async with world.running():
        _settle(world, *crowd)
        await asyncio.sleep(GRACE)
        for one in crowd[:5]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(INTERVAL)
        world.cluster.remove_namespace(crowd[5])
        trouble = world.iam.have(Trouble.HANGS, "write")
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        trouble.off()
        await asyncio.sleep(GRACE)
        assert world.trusted_in(ROLE) == set(crowd[5:])


@in_virtual_time
async def test_three_may_be_removed_however_few_there_are() -> None:
    world = World()
    async with world.running():
        _settle(world, *(subject(number) for number in range(3)))
        await asyncio.sleep(GRACE)
        for number in range(3):
            world.cluster.remove_namespace(subject(number))
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set()


@in_virtual_time
async def test_the_next_leader_knows_what_the_one_before_has_removed() -> None:
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        crowd = await _crowd(world)
        for one in crowd[:4]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
    assert sum(count for _, count in world.leases.leases[LEASE].removals) == 4
    async with world.running():
        world.cluster.remove_namespace(crowd[4])
        await asyncio.sleep(2 * GRACE)
        assert crowd[4] in world.trusted_in(ROLE)


@in_virtual_time
async def test_a_former_leader_removes_nothing_that_it_had_approved() -> None:
    async with _settled() as world:
        world.cluster.remove_namespace(SUBJECT)
        await asyncio.sleep(GRACE - INTERVAL)
        trouble = world.iam.have(Trouble.HANGS, "write")
        await asyncio.sleep(2 * LONGEST_DELAY)
        for renewal in range(1000, 1020):
            _have_another_lead(world, renewal)
            await asyncio.sleep(5)
            trouble.off()
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


@in_virtual_time
async def test_a_process_that_starts_begins_the_grace_with_its_first_read() -> None:
    async with _settled() as world:
        world.cluster.delete_namespace(SUBJECT)
        await asyncio.sleep(GRACE - 60)
    world = World(before=world)
    async with world.running():
        await asyncio.sleep(GRACE - 60)
        assert world.trusted_in(ROLE) == {SUBJECT, subject(2)}
        await asyncio.sleep(2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == {subject(2)}


@in_virtual_time
async def test_a_hundred_removals_share_a_write() -> None:
    world = World(iam=SimulatedIam(limit=131072))
    crowd = [subject(number) for number in range(600)]
    async with world.running():
        _settle(world, *crowd)
        await asyncio.sleep(2 * GRACE)
        for one in crowd[:100]:
            world.cluster.remove_namespace(one)
        world.iam.calls.clear()
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(crowd[100:])
        assert len(world.iam.made("write")) <= 2
        assert now() > 0


@pytest.mark.parametrize("gone", [(), pool(2)[1:]], ids=["all roles there", "another role gone"])
@in_virtual_time
async def test_what_a_leader_had_approved_and_not_written_is_done_by_the_next(gone: tuple[RoleArn, ...]) -> None:
    world = World(labelled(ROLE, *gone))
    subjects = [subject(number) for number in range(6)]
    async with world.running():
        _settle(world, *subjects)
        await asyncio.sleep(GRACE)
        for one in subjects[:3]:
            world.cluster.remove_namespace(one)
        await asyncio.sleep(GRACE - 30)
        trouble = world.iam.have(Trouble.HANGS, "write")
        await asyncio.sleep(2 * LONGEST_DELAY)
    trouble.off()
    for no_more in gone:
        world.iam.delete(no_more)
    assert set(world.leases.leases[LEASE].removing) == {Entry(ROLE, one).digest for one in subjects[:3]}
    async with world.running():
        await asyncio.sleep(GRACE + 2 * LONGEST_DELAY)
        assert world.trusted_in(ROLE) == set(subjects[3:])
