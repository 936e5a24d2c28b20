"""What replicas tell each other through the Lease is news once, so that it grows old everywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.locks import MemoryLeases
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.coordination.lock import REMEMBERED, LeaseLock, lease_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import Subject

ROLE = role()
ALICE, BOB = subject(0), subject(1)


class Replica:
    """Takes the lock, and records its news."""

    def __init__(self, store: MemoryLeases, name: str) -> None:
        self._lock = LeaseLock(store, name)
        self.news: list[dict[Subject, float]] = []

    async def hold(self, writes: Mapping[Subject, float] | None = None) -> None:
        async with self._lock.hold(ROLE, lambda written, _: self.news.append(dict(written)), now) as hold:
            if writes is not None:
                hold.remember(writes, {})
            assert await hold.renew()


@in_virtual_time
async def test_what_was_written_is_reported_once_however_often_the_lock_changes_hands() -> None:
    store = MemoryLeases()
    here, there = Replica(store, "a"), Replica(store, "b")
    await here.hold({ALICE: 0.0})
    for _ in range(3):
        await there.hold()
        await here.hold()
    assert there.news == [{ALICE: 0.0}]
    assert here.news == []


@in_virtual_time
async def test_the_same_subject_written_again_is_news_again() -> None:
    store = MemoryLeases()
    here, there = Replica(store, "a"), Replica(store, "b")
    await here.hold({ALICE: 0.0})
    await there.hold()
    await here.hold({ALICE: 0.0})
    await there.hold({BOB: 0.0})
    await here.hold()
    assert there.news == [{ALICE: 0.0}, {ALICE: 0.0}]
    assert here.news == [{BOB: 0.0}]


@in_virtual_time
async def test_what_every_read_shows_after_a_minute_is_no_longer_carried_along() -> None:
    store = MemoryLeases()
    here, there, late = (Replica(store, name) for name in ("a", "b", "c"))
    await here.hold({ALICE: 0.0})
    await there.hold()
    assert store.leases[lease_name(ROLE)].written == {ALICE: 0.0}
    await asyncio.sleep(REMEMBERED + 1)
    await there.hold()
    assert store.leases[lease_name(ROLE)].written == {}
    await late.hold()
    assert late.news == [{}]
