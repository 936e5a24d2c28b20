"""What replicas tell each other through the Lease is news once, so that it grows old everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time
from webhook.trust.leases import Lease, LeaseLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.domain.names import Subject

ROLE = role()
ALICE, BOB = subject(0), subject(1)


class Memory:
    """A LeaseStore that compares and swaps, as the API server does."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._version = 0

    async def get(self, name: str) -> Lease | None:
        return self._leases.get(name)

    async def create(self, lease: Lease) -> Lease | None:
        return None if lease.name in self._leases else self._store(lease)

    async def update(self, lease: Lease) -> Lease | None:
        return self._store(lease) if self._leases[lease.name].version == lease.version else None

    def _store(self, lease: Lease) -> Lease:
        self._version += 1
        self._leases[lease.name] = replace(lease, version=str(self._version))
        return self._leases[lease.name]


class Replica:
    """Takes the lock, and notes what it is told."""

    def __init__(self, store: Memory, name: str) -> None:
        self._lock = LeaseLock(store, name)
        self.told: list[dict[Subject, float]] = []

    async def hold(self, writes: Mapping[Subject, float] | None = None) -> None:
        async with self._lock.hold(ROLE, lambda written: self.told.append(dict(written))) as hold:
            if writes is not None:
                hold.remember(writes)
            assert await hold.again()


@in_virtual_time
async def test_what_was_written_is_told_once_however_often_the_lock_changes_hands() -> None:
    store = Memory()
    here, there = Replica(store, "a"), Replica(store, "b")
    await here.hold({ALICE: 0.0})
    for _ in range(3):
        await there.hold()
        await here.hold()
    assert there.told == [{ALICE: 0.0}]
    assert here.told == []


@in_virtual_time
async def test_the_same_subject_written_again_is_news_again() -> None:
    store = Memory()
    here, there = Replica(store, "a"), Replica(store, "b")
    await here.hold({ALICE: 0.0})
    await there.hold()
    await here.hold({ALICE: 0.0})
    await there.hold({BOB: 0.0})
    await here.hold()
    assert there.told == [{ALICE: 0.0}, {ALICE: 0.0}]
    assert here.told == [{BOB: 0.0}]
