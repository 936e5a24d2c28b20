"""Operators see how many subjects wait for trust, and how long: refused ones too, while they are wanted."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.locks import MemoryLeases
from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World
from webhook.coordination.lock import LeaseLock, lease_name

ROLE = role()
ACCOUNT = subject(1)


def gauge(name: str) -> float:
    value = sample(f"mxp_identity_{name}")
    assert value is not None
    return value


def repairs() -> float:
    return sample("mxp_identity_trust_repairs_total", {"role_arn": ROLE.value}) or 0


def remove_ours(document: dict[str, Any]) -> None:
    document["Statement"] = [one for one in document["Statement"] if not own_in(ROLE).owns(one)]


def without_room() -> World:
    """A program with one selected namespace, whose role takes no subject."""
    world = World()
    world.iam.limit = world.iam.answered_limit = 1
    world.cluster.add_namespace(ACCOUNT.namespace)
    return world


@in_virtual_time
async def test_the_longest_wait_grows_while_iam_is_away_and_is_none_once_all_are_trusted() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.HANGS)
    here.grants.start(here.grant(ACCOUNT))
    await asyncio.sleep(100)
    here.grants.start(here.grant(subject(2)))
    await asyncio.sleep(50)
    assert gauge("grants_pending") == 2
    assert gauge("grant_longest_wait_seconds") == 150
    iam.recover()
    await asyncio.sleep(30)
    assert gauge("grants_pending") == 0
    assert gauge("grant_longest_wait_seconds") == 0


@in_virtual_time
async def test_a_subject_that_fits_nowhere_waits_from_pass_to_pass_until_there_is_room() -> None:
    world = without_room()
    world.cluster.add_account(ACCOUNT)
    async with world.running():
        await asyncio.sleep(5.5 * INTERVAL)
        assert gauge("grants_pending") == 1
        assert gauge("grant_longest_wait_seconds") > 5 * INTERVAL
        world.iam.limit = world.iam.answered_limit = 2048
        await asyncio.sleep(INTERVAL)
        assert world.homes(ACCOUNT) == [ROLE]
        assert gauge("grants_pending") == 0


@in_virtual_time
async def test_a_subject_that_was_refused_for_good_and_is_gone_waits_no_more() -> None:
    world = without_room()
    async with world.running():
        await asyncio.sleep(INTERVAL)
        assert gauge("grants_pending") == 1
        world.cluster.namespaces.remove(ACCOUNT.namespace)
        await asyncio.sleep(2 * INTERVAL)
        assert gauge("grants_pending") == 0


@in_virtual_time
async def test_a_subject_that_was_refused_and_is_trusted_externally_waits_no_more() -> None:
    world = without_room()
    async with world.running():
        await asyncio.sleep(INTERVAL)
        assert gauge("grants_pending") == 1
        world.iam.edit(ROLE, lambda document: document["Statement"].append(own_in(ROLE).render([ACCOUNT])))
        world.cluster.add_namespace(subject(2).namespace)  # the policy is read for it before the next pass
        await asyncio.sleep(2 * INTERVAL)
        assert gauge("grants_pending") == 1
        assert gauge("grant_longest_wait_seconds") < 2.5 * INTERVAL


@in_virtual_time
async def test_a_write_that_puts_our_statement_back_is_counted_as_a_repair_and_one_for_a_new_subject_is_not() -> (
    None
):
    iam, store = SimulatedIam(), MemoryLeases()
    here = site(iam, ROLE, lock=LeaseLock(store, "a"))
    before = repairs()
    for number in range(5):
        here.wanted[ROLE].append(subject(number))
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        await asyncio.sleep(100)
    assert repairs() == before
    assert store.leases[lease_name(ROLE)].repairs == ()
    for _ in range(3):
        iam.edit(ROLE, remove_ours)
        here.grants.enqueue()
        await asyncio.sleep(100)
        assert here.trusted_in(ROLE) == {subject(number) for number in range(5)}
    assert repairs() == before + 3
    assert len(store.leases[lease_name(ROLE)].repairs) == 3, "commands read it there"
