"""What `plan` foretells of removals is what the running program makes of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.pods import CLUSTER
from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import ISSUER, SERVICE_ACCOUNT, binding, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, INTERVAL, World, labelled
from webhook.cli.plan.planning import forecast
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError
from webhook.model.removal import Forecast, PruneRules
from webhook.planning.account import read_associations, read_roles
from webhook.planning.plan import Plan, make_plan
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation

if TYPE_CHECKING:
    from webhook.coordination.leases import Lease, LeaseStore

ROLE = role()
ALL = 25
LIMIT = 5
RULES = PruneRules(GRACE, 0.2)
BINDINGS = {Mode.IRSA: labelled(ROLE), Mode.POD_IDENTITY: binding(ROLE, mode=Mode.POD_IDENTITY)}


async def _look(world: World) -> tuple[Plan, AccountSnapshot, Installation]:
    """At what `plan` looks at."""
    eks = CLUSTER if world.bindings[0].associates else None
    installation = Installation("mxp-identity", ISSUER, world.bindings, GRACE, eks)
    namespaces, _ = await world.cluster.namespaces.list()
    accounts, _ = await world.cluster.accounts[SERVICE_ACCOUNT].list()
    found = {(one.namespace, one.name): one for one in accounts.values()}
    account = await read_roles(world.iam.client("plan"), [ROLE], _quiet)
    account = replace(account, associations=await read_associations(world.eks, _quiet))
    return make_plan(installation, ClusterSnapshot(namespaces, found, now()), account), account, installation


def _quiet(_: str) -> None:
    pass


async def _forecast(world: World, leases: LeaseStore | None = None) -> Forecast:
    return await forecast(*await _look(world), RULES, leases or world.leases)


async def _settle(world: World) -> None:
    for number in range(ALL):
        world.cluster.add_namespace(subject(number).namespace)
        world.cluster.add_account(subject(number))
    await asyncio.sleep(2 * INTERVAL)


def _over_limit() -> float | None:
    return sample("mxp_identity_removals_over_limit")


@settings(max_examples=15, deadline=None)  # virtual hours take real tenths of a second
@given(st.sampled_from(sorted(BINDINGS)), st.lists(st.integers(1, LIMIT + 2), min_size=1, max_size=3))
@example(Mode.POD_IDENTITY, [LIMIT])
@in_virtual_time
async def test_what_is_foretold_within_the_grace_is_what_happens_after_it(mode: Mode, crowds: list[int]) -> None:
    world = World(BINDINGS[mode], iam=SimulatedIam(limit=8192))
    there = list(range(ALL))
    async with world.running():
        await _settle(world)
        for size in crowds:
            for number in there[:size]:
                world.cluster.remove_namespace(subject(number))
            foretold = await _forecast(world)
            await asyncio.sleep(GRACE + 2 * INTERVAL)
            assert _over_limit() == foretold.waiting
            there = there[size:]


@in_virtual_time
async def test_what_is_being_removed_already_is_not_foretold_to_wait() -> None:
    """IAM is away, so that they are still there although their removal was approved."""
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        await _settle(world)
        for number in range(LIMIT):
            world.cluster.remove_namespace(subject(number))
        world.iam.have(Trouble.THROTTLED, "write")
        await asyncio.sleep(GRACE + 2 * INTERVAL)
        assert await _forecast(world) == Forecast(due=0, allowed=0)
        world.iam.recover()


class _NoRight:
    """Leases that may not be read."""

    async def get(self, name: str) -> Lease | None:
        raise ClusterError(f"{name}: forbidden")

    async def create(self, lease: Lease) -> Lease | None:
        raise NotImplementedError

    async def update(self, lease: Lease) -> Lease | None:
        raise NotImplementedError


@pytest.mark.parametrize(("leaving", "waiting"), [(LIMIT, 0), (LIMIT + 1, 1)])
@in_virtual_time
async def test_without_the_right_to_read_leases_the_limit_itself_is_foretold(leaving: int, waiting: int) -> None:
    world = World(iam=SimulatedIam(limit=8192))
    async with world.running():
        await _settle(world)
        for number in range(leaving):
            world.cluster.remove_namespace(subject(number))
        found = await _forecast(world, _NoRight())
        assert (found, found.waiting) == (Forecast(leaving, LIMIT), waiting)
