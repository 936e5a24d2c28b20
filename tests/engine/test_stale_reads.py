"""IAM answers what it had seconds ago: no subject is dropped because of that, and nothing is written for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.invariants import assert_writes_were_careful, never_dropped
from tests.support.locks import MemoryLeases
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.coordination.lock import REMEMBERED, LeaseLock
from webhook.model.outcomes import Trusted

ROLE = role()
TEN_MINUTES = 600.0
ONE_AFTER_ANOTHER = [subject(number) for number in range(200)]
ROOM_FOR_ALL = 131072


@pytest.mark.parametrize(
    ("pause", "seconds"),
    [
        (0.0, 30),
        (0.7, 10),
        pytest.param(5.0, 3, marks=pytest.mark.proof),
        pytest.param(5.0, 30, marks=pytest.mark.proof),
    ],
)
@in_virtual_time
async def test_two_hundred_grants_one_after_another_never_drop_a_subject(pause: float, seconds: float) -> None:
    iam = SimulatedIam(stale=seconds, limit=ROOM_FOR_ALL)
    here = site(iam, ROLE)
    for account in ONE_AFTER_ANOTHER:
        assert isinstance(await here.grants.obtain(here.grant(account), PATIENCE), Trusted)
        await asyncio.sleep(pause)
    assert never_dropped(iam, ROLE, own_in(ROLE))
    assert here.trusted_in(ROLE) == set(ONE_AFTER_ANOTHER)
    assert_writes_were_careful(iam, own_in, ONE_AFTER_ANOTHER)


@pytest.mark.parametrize("seconds", [0, 3, 10, 30, REMEMBERED - 1])
@in_virtual_time
async def test_reads_that_lag_cause_no_write(seconds: float) -> None:
    iam = SimulatedIam(stale=seconds)
    here = site(iam, ROLE)
    here.wanted[ROLE] = [subject(1)]
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    for _ in range(10):
        await asyncio.sleep(TEN_MINUTES / 10)
        here.grants.enqueue()
    assert len(iam.made("write")) == 1
    assert len(iam.made("read")) < 40
    assert here.trusts(ROLE, subject(1))


@pytest.mark.parametrize("seconds", [3, 10, 30])
@in_virtual_time
async def test_a_grant_does_not_wait_for_reads_to_catch_up(seconds: float) -> None:
    iam = SimulatedIam(stale=seconds, latency=0.1)
    here = site(iam, ROLE)
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    await asyncio.sleep(1.5)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert isinstance(await here.grants.obtain(here.grant(subject(2)), PATIENCE), Trusted)
    assert loop.time() - started <= 0.3


@in_virtual_time
async def test_a_statement_of_ours_that_is_removed_each_time_is_repaired_once_a_minute_at_most() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.wanted[ROLE] = [subject(1)]
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    for second in range(int(TEN_MINUTES)):
        iam.edit(ROLE, _without_ours)
        await asyncio.sleep(1)
        if second % 60 == 0:
            here.grants.enqueue()
    assert len(iam.made("write")) <= 12


def _without_ours(document: dict[str, list[dict[str, str]]]) -> None:
    document["Statement"] = [one for one in document["Statement"] if not own_in(ROLE).owns(one)]


@in_virtual_time
async def test_a_cluster_that_wrote_over_us_is_noticed_in_seconds_and_answered_with_one_write() -> None:
    """Its policy was never read before our write, so it is no old answer."""
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.wanted[ROLE] = [subject(1)]
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    iam.edit(ROLE, _without_ours)
    iam.edit(ROLE, lambda document: document["Statement"].append({"Sid": "Theirs", "Effect": "Deny"}))
    here.grants.enqueue()
    await asyncio.sleep(4)
    assert not here.trusts(ROLE, subject(1)), "one odd answer is not acted upon"
    await asyncio.sleep(6)
    assert here.trusts(ROLE, subject(1))
    assert "Theirs" in {one["Sid"] for one in iam.document(ROLE)["Statement"]}
    await asyncio.sleep(TEN_MINUTES)
    assert len(iam.made("write")) == 2


@in_virtual_time
async def test_a_policy_that_was_known_before_our_write_is_an_old_answer_for_a_minute() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.wanted[ROLE] = [subject(1)]
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    iam.edit(ROLE, _without_ours)
    here.grants.enqueue()
    await asyncio.sleep(REMEMBERED - 5)
    assert len(iam.made("write")) == 1
    await asyncio.sleep(20)
    assert here.trusts(ROLE, subject(1))


@pytest.mark.parametrize("seconds", [10, 30, REMEMBERED - 1])
@in_virtual_time
async def test_another_replica_writes_once_at_most_for_an_old_answer_that_it_never_read_before(
    seconds: float,
) -> None:
    iam, store = SimulatedIam(stale=seconds), MemoryLeases()
    here = site(iam, ROLE, lock=LeaseLock(store, "a"))
    there = Site(iam, ROLE, name="b", lock=LeaseLock(store, "b"))
    await asyncio.sleep(REMEMBERED)
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    for _ in range(60):
        there.grants.enqueue()
        here.grants.enqueue()
        await asyncio.sleep(10)
    assert len(iam.made("write")) <= 2
    assert never_dropped(iam, ROLE, own_in(ROLE))
