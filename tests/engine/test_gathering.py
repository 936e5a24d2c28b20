"""When a role is read again after a write: at once for grants one by one, a little later in a burst."""

from __future__ import annotations

import asyncio
import random
from statistics import median

import pytest

from tests.support.invariants import assert_one_at_a_time, assert_writes_were_careful
from tests.support.locks import MemoryLeases
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, Site, external_document, own_in, pool, role, site, subject
from tests.support.token_bucket import TokenBucket
from tests.support.virtual_time import in_virtual_time, now
from webhook.coordination.lock import LeaseLock
from webhook.iam.role_writer import GATHERING
from webhook.model.outcomes import Trusted
from webhook.runtime.rate_limiter import FLOOR

ROLE = role()
ROOM_FOR_ALL = 131072
POOL_QUOTA = 9000
READ_AND_WRITE = 0.1


def replicas(iam: SimulatedIam, roles: tuple[object, ...], count: int) -> list[Site]:
    """So many replicas of one program, which share its Leases."""
    store = MemoryLeases()
    for one in roles:
        iam.store(one, external_document(one))  # type: ignore[arg-type]
    return [Site(iam, *roles, name=str(n), lock=LeaseLock(store, str(n))) for n in range(count)]  # type: ignore[arg-type]


async def burst(sites: list[Site], count: int, clients: int) -> list[float]:
    """Create `count` control planes by so many clients, each as soon as its last is trusted; answers their waits.

    As in a cluster all replicas see a namespace, and one of them has the review.
    """
    waiting, waits = iter(range(count)), list[float]()

    async def client() -> None:
        for number in waiting:
            for each in sites:
                each.grants.start(each.grant(subject(number)))
            await asyncio.sleep(random.uniform(0.01, 0.03))
            here, asked = random.choice(sites), now()
            assert isinstance(await here.grants.obtain(here.grant(subject(number)), PATIENCE), Trusted)
            waits.append(now() - asked)
            await asyncio.sleep(random.uniform(0.01, 0.03))

    await asyncio.gather(*(client() for _ in range(clients)))
    return waits


@in_virtual_time
async def test_grants_one_after_another_wait_for_no_gathering() -> None:
    iam = SimulatedIam(latency=READ_AND_WRITE / 2, limit=ROOM_FOR_ALL)
    here = site(iam, ROLE)
    for number in range(50):
        before = now()
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        assert now() - before < READ_AND_WRITE + 0.001
        await asyncio.sleep(0.01)
    await asyncio.sleep(600)
    assert len(iam.calls) == 2 * 50 + 1


@in_virtual_time
async def test_a_role_to_which_another_replica_wrote_one_is_written_at_once_and_one_with_many_gathers() -> None:
    iam = SimulatedIam(latency=READ_AND_WRITE / 2, limit=ROOM_FOR_ALL)
    one, other = replicas(iam, (ROLE,), 2)
    for crowd, waits in ((range(1), 0.0), (range(10, 20), GATHERING)):
        await asyncio.gather(*(one.grants.obtain(one.grant(subject(number)), PATIENCE) for number in crowd))
        asked = now()
        await other.grants.obtain(other.grant(subject(100 + len(crowd))), PATIENCE)
        assert now() - asked == pytest.approx(waits + READ_AND_WRITE)
        await asyncio.sleep(60)


@in_virtual_time
async def test_a_burst_of_100_by_40_clients_shares_8_writes_at_most() -> None:
    for count in (1, 3):
        iam = SimulatedIam(latency=READ_AND_WRITE / 2, limit=ROOM_FOR_ALL)
        waits = await burst(replicas(iam, (ROLE,), count), 100, 40)
        assert len(iam.made("write")) <= 8
        assert median(waits) < READ_AND_WRITE + GATHERING
        assert_one_at_a_time(iam)
        assert_writes_were_careful(iam, own_in, [subject(number) for number in range(100)])


@in_virtual_time
async def test_six_roles_under_500_are_not_throttled_at_20_calls_a_second() -> None:
    iam = SimulatedIam(latency=0.15, limit=POOL_QUOTA)
    iam.bucket = TokenBucket(20, 20, now)
    sites = replicas(iam, pool(6), 3)
    await asyncio.gather(*(here.grants.wait_until_synced(PATIENCE) for here in sites))
    await asyncio.sleep(60)
    iam.calls.clear()
    await burst(sites, 500, 100)
    assert iam.bucket.throttled == 0
    assert len(iam.calls) < 0.092 * 2 * 500


@in_virtual_time
async def test_a_replica_that_starts_while_others_write_without_a_pause_reads_the_role_soon() -> None:
    iam = SimulatedIam(latency=READ_AND_WRITE / 2, limit=ROOM_FOR_ALL)
    one, other, late = replicas(iam, (ROLE,), 3)
    writing = asyncio.ensure_future(burst([one, other], 400, 10))
    await asyncio.sleep(2)
    await late.grants.wait_until_synced(5)
    assert late.writers[ROLE].cache.synced.is_set()
    assert not writing.done()
    await writing


@in_virtual_time
async def test_throttling_slows_all_roles_down_and_success_speeds_them_up_again() -> None:
    iam = SimulatedIam(latency=0.02, limit=ROOM_FOR_ALL)
    iam.bucket = TokenBucket(2, 2, now)
    here = site(iam, *pool(6))
    at_first = here.limiter.rate

    async def grant_all(numbers: range) -> None:
        for number in numbers:
            await asyncio.gather(*(writer.submit(subject(number)).settled for writer in here.writers.values()))

    await grant_all(range(5))
    slow, throttled = here.limiter.rate, iam.bucket.throttled
    assert FLOOR <= slow < at_first
    assert throttled < 5 * 6 * 2
    iam.bucket = None
    await grant_all(range(5, 60))
    assert here.limiter.rate > at_first


@in_virtual_time
async def test_a_role_that_waits_long_for_its_turn_does_not_hold_the_lock() -> None:
    iam = SimulatedIam(latency=READ_AND_WRITE / 2, limit=ROOM_FOR_ALL)
    slow, quick = replicas(iam, (ROLE,), 2)
    slow.limiter.rate = FLOOR
    for _ in range(20):
        slow.limiter.reserve()
    waiting = slow.writers[ROLE].submit(subject(1)).settled
    await asyncio.sleep(1)
    before = now()
    assert isinstance(await quick.grants.obtain(quick.grant(subject(2)), PATIENCE), Trusted)
    assert now() - before < READ_AND_WRITE + 0.001
    assert isinstance(await waiting, Trusted)
    assert 18 < now() < 22
