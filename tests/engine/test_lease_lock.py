"""The Lease as a lock: one holder at a time, and one that has died or lost it does not keep it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.locks import MemoryLeases
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import Site, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.coordination.leases import DURATION, Lease
from webhook.coordination.lock import LeaseLock, LockError, lease_name
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import Subject

ROLE = role()
NAME = lease_name(ROLE)


def _ignored(written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
    """Whatever others wrote."""


@in_virtual_time
async def test_replicas_that_crowd_around_a_lock_hold_it_one_at_a_time_and_each_in_turn() -> None:
    store = MemoryLeases()
    holders: set[str] = set()

    async def work(name: str) -> None:
        lock = LeaseLock(store, name)
        for _ in range(5):
            async with lock.hold(ROLE, _ignored, lambda: 0.0):
                holders.add(name)
                await asyncio.sleep(1)
                assert holders == {name}
                holders.remove(name)

    await asyncio.gather(*(work(name) for name in ("a", "b", "c")))
    assert 15 <= now() < 20


@in_virtual_time
async def test_a_holder_that_is_silent_is_replaced_after_the_lease_duration_and_not_before() -> None:
    store = MemoryLeases()
    await store.create(Lease(NAME, ROLE.value, holder="dead", renewals=1))
    async with LeaseLock(store, "b").hold(ROLE, _ignored, lambda: 0.0):
        assert DURATION < now() <= DURATION + 1


class _FirstReadIsSlow(MemoryLeases):
    """An API server whose first answer to a read takes two seconds, and shows what was stored in them."""

    async def get(self, name: str) -> Lease | None:
        await asyncio.sleep(2 if now() < 1 else 0)
        return await super().get(name)


@in_virtual_time
async def test_a_renewal_that_a_slow_read_shows_counts_from_its_answer() -> None:
    store, renewed = _FirstReadIsSlow(), 1.9
    before = await store.create(Lease(NAME, ROLE.value, holder="dead", renewals=1))
    assert before

    async def renew() -> None:
        await asyncio.sleep(renewed)
        assert await store.update(replace(before, renewals=2))

    renewing = asyncio.create_task(renew())
    async with LeaseLock(store, "b").hold(ROLE, _ignored, lambda: 0.0):
        assert now() > renewed + DURATION
    await renewing


@in_virtual_time
async def test_a_holder_that_renews_keeps_its_lock() -> None:
    store = MemoryLeases()
    await store.create(Lease(NAME, ROLE.value, holder="a", renewals=1))

    async def renew() -> None:
        for _ in range(10):
            await asyncio.sleep(DURATION / 2)
            found = await store.get(NAME)
            assert found
            assert found.holder == "a"
            assert await store.update(replace(found, renewals=found.renewals + 1))

    async def wait() -> None:
        async with LeaseLock(store, "b").hold(ROLE, _ignored, lambda: 0.0):
            assert now() > 6 * DURATION - 1

    await asyncio.gather(renew(), wait())


@in_virtual_time
async def test_a_holder_is_asked_for_its_lock_only_on_behalf_of_a_grant_that_has_waited_for_long() -> None:
    store = MemoryLeases()
    began = float("inf")

    async def wait() -> None:
        async with LeaseLock(store, "b").hold(ROLE, _ignored, lambda: began):
            assert now() > 30

    async with LeaseLock(store, "a").hold(ROLE, _ignored, lambda: 0.0) as hold:
        waiting = asyncio.create_task(wait())
        for _ in range(30):
            await asyncio.sleep(1)
            assert await hold.renew()
        began = now()
        await asyncio.sleep(2)
        assert not await hold.renew()
    await waiting


@in_virtual_time
async def test_a_replica_whose_subjects_are_all_written_by_another_does_not_take_its_turn() -> None:
    iam, store = SimulatedIam(limit=131072), MemoryLeases()
    sites = [site(iam, ROLE, lock=LeaseLock(store, "a")), Site(iam, ROLE, name="b", lock=LeaseLock(store, "b"))]
    for here in sites:
        await here.writers[ROLE].wait_until_synced()
        await asyncio.sleep(5)
    for number in range(200):
        for here in sites:
            here.grants.start(here.grant(subject(number)))
        await asyncio.sleep(0.05)
        assert store.leases[NAME].waiter is None
    await asyncio.sleep(1)
    assert sites[0].trusted_in(ROLE) == {subject(number) for number in range(200)}


@in_virtual_time
async def test_a_holder_that_lost_its_lock_stops_and_does_not_touch_the_lease() -> None:
    store = MemoryLeases()
    async with LeaseLock(store, "a").hold(ROLE, _ignored, lambda: 0.0) as hold:
        found = await store.get(NAME)
        assert found
        taken = await store.update(replace(found, holder="b", renewals=found.renewals + 1))
        assert not await hold.renew()
    assert await store.get(NAME) == taken


@in_virtual_time
async def test_the_first_news_of_a_recreated_lease_is_learnt() -> None:
    store = MemoryLeases()
    learnt: list[Subject] = []
    writes, reads = LeaseLock(store, "a"), LeaseLock(store, "b")
    for number in range(3):
        async with writes.hold(ROLE, _ignored, lambda: 0.0) as hold:
            hold.remember({subject(number): 0.0}, {})
        async with reads.hold(ROLE, lambda written, _: learnt.extend(written), lambda: 0.0):
            assert learnt == [subject(number) for number in range(number + 1)]
        del store.leases[NAME]


class _LosesAnAnswer(MemoryLeases):
    """An API server whose connection breaks once, after it has stored what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.loses_one = False

    async def update(self, lease: Lease) -> Lease | None:
        stored = await super().update(lease)
        if self.loses_one:
            self.loses_one = False
            raise ClusterError("connection reset")
        return stored


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_does_not_lose_the_lock() -> None:
    store = _LosesAnAnswer()
    async with LeaseLock(store, "a").hold(ROLE, _ignored, lambda: 0.0) as hold:
        store.loses_one = True
        with pytest.raises(LockError):
            await hold.renew()
        await asyncio.sleep(DURATION - 1)
        assert await hold.renew()
        assert hold.outlasts(DURATION - 1)
    assert store.leases[NAME].holder is None


@in_virtual_time
async def test_a_lock_whose_release_was_stored_without_an_answer_is_not_taken_back() -> None:
    store = _LosesAnAnswer()
    async with LeaseLock(store, "a").hold(ROLE, _ignored, lambda: 0.0) as hold:
        hold.remember({subject(1): 0.0}, {})
        store.loses_one = True
    async with LeaseLock(store, "b").hold(ROLE, _ignored, lambda: 0.0) as hold:
        assert await hold.renew()
        assert store.leases[NAME].holder == "b"
        assert store.leases[NAME].written == {subject(1): 0.0}


class _EditedBeforeEachWrite(MemoryLeases):
    """An API server where another client edits the Lease again and again, up to some moment."""

    def __init__(self) -> None:
        super().__init__()
        self.edited_until = 0.0
        self.writes = 0

    async def update(self, lease: Lease) -> Lease | None:
        await asyncio.sleep(0.01)
        self.writes += 1
        if now() < self.edited_until:
            self._store(self.leases[lease.name])
        return await super().update(lease)


@in_virtual_time
async def test_a_holder_whose_lease_is_edited_before_each_write_pauses_and_gives_up() -> None:
    store = _EditedBeforeEachWrite()
    async with LeaseLock(store, "a").hold(ROLE, _ignored, lambda: 0.0) as hold:
        store.edited_until = 2 * DURATION
        with pytest.raises(LockError, match="changed before each of"):
            await hold.renew()
        hold.remember({subject(1): 0.0}, {})
    assert now() < DURATION + 1
    assert store.writes <= 12 * DURATION, "five each half second"
