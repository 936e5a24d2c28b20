"""One replica leads at a time; a new one takes over when it ends, dies or hangs, and knows what was removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.locks import MemoryLeases
from tests.support.virtual_time import in_virtual_time, now
from webhook.controller.leader_election import LeaderElection, NotLeadingError, leader_lease
from webhook.coordination.leases import DURATION, Lease
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from webhook.controller.leader_election import Leadership

INSTALLATION = "mxp-identity"
LEASE = leader_lease(INSTALLATION)


class _Replica:
    """One that takes part; `leads` and `terms` say how it went."""

    def __init__(self, leases: MemoryLeases, name: str, installation: str = INSTALLATION) -> None:
        self._leading = False
        self.terms: list[Leadership] = []
        self.task = asyncio.ensure_future(LeaderElection(leases, installation, name).run(self._lead))

    def leads(self) -> bool:
        return self._leading

    async def _lead(self, term: Leadership) -> None:
        self.terms.append(term)
        self._leading = True
        try:
            await asyncio.Event().wait()
        finally:
            self._leading = False


class _FailingLeases(MemoryLeases):
    """An API server that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.silence = 0.0
        self.loses_answers = 0
        self.bug = False

    async def get(self, name: str) -> Lease | None:
        self._answer()
        return await super().get(name)

    async def update(self, lease: Lease) -> Lease | None:
        await asyncio.sleep(self.silence)
        if self.bug:
            self.bug = False
            raise KeyError("a bug")
        self._answer()
        stored = await super().update(lease)
        if self.loses_answers:
            self.loses_answers -= 1
            raise ClusterError("connection reset")
        return stored

    def _answer(self) -> None:
        if self.away:
            raise ClusterError("connection refused")


@in_virtual_time
async def test_one_of_three_leads() -> None:
    leases = MemoryLeases()
    replicas = [_Replica(leases, name) for name in "abc"]
    for _ in range(50):
        await asyncio.sleep(1.7)
        assert [one.leads() for one in replicas].count(True) == 1
    assert sum(len(one.terms) for one in replicas) == 1


@in_virtual_time
async def test_two_installations_in_one_namespace_have_a_leader_each() -> None:
    leases = MemoryLeases()
    replicas = [_Replica(leases, name, installation) for name, installation in ("ax", "bx", "ay")]
    await asyncio.sleep(60)
    assert [one.leads() for one in replicas] == [True, False, True]


@in_virtual_time
async def test_a_bug_in_renewing_ends_the_work_of_the_leader_and_lets_another_lead() -> None:
    leases = _FailingLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(30)
    assert leader.leads()
    follower = _Replica(leases, "b")
    leases.bug = True
    with pytest.raises(KeyError):
        await leader.task
    assert not leader.leads()
    await asyncio.sleep(2 * DURATION)
    assert follower.leads()


@in_virtual_time
async def test_a_leader_that_ends_in_order_is_followed_at_once() -> None:
    leases = MemoryLeases()
    first = _Replica(leases, "a")
    await asyncio.sleep(0.1)
    second = _Replica(leases, "b")
    await asyncio.sleep(30)
    first.task.cancel()
    await asyncio.sleep(2.1)
    assert not first.leads()
    assert second.leads()


@in_virtual_time
async def test_a_leader_that_dies_is_followed_after_the_lease_and_not_before() -> None:
    leases = MemoryLeases()
    dead = await leases.create(Lease(LEASE, "", holder="dead", renewals=7))
    assert dead is not None
    follower = _Replica(leases, "b")
    await asyncio.sleep(DURATION - 0.1)
    assert not follower.leads()
    await asyncio.sleep(2.2)
    assert follower.leads()


@in_virtual_time
async def test_a_leader_that_cannot_reach_the_api_server_leads_no_longer_than_its_lease() -> None:
    leases = _FailingLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(20)
    leases.away = True
    await asyncio.sleep(DURATION + 3.1)
    assert not leader.leads()
    leases.away = False
    await asyncio.sleep(DURATION + 3)
    assert leader.leads()
    assert len(leader.terms) == 2


@pytest.mark.parametrize("silence", [0.0, 2.5, 30.0])
@in_virtual_time
async def test_a_leader_that_cannot_renew_has_ended_when_another_may_lead(silence: float) -> None:
    leases = _FailingLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(20)
    leases.silence, leases.away = silence, True
    (term,) = leader.terms
    await asyncio.sleep(term.until - now() - 0.1)
    assert leader.leads()
    await asyncio.sleep(0.2)
    assert not leader.leads()


@in_virtual_time
async def test_removals_that_could_not_be_noted_do_not_count() -> None:
    leases = _FailingLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(1)
    (term,) = leader.terms
    await term.record_removals(2)
    leases.away = True
    with pytest.raises(NotLeadingError):
        await term.record_removals(3)
    leases.away = False
    assert term.removed_within_the_hour() == 2
    await asyncio.sleep(6)
    assert sum(count for _, count in leases.leases[LEASE].removals) == 2


@in_virtual_time
async def test_a_leader_that_lost_the_lease_while_it_hung_finds_out_at_its_next_step() -> None:
    leases = MemoryLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(1)
    leases.leases[LEASE] = replace(leases.leases[LEASE], holder="b", renewals=99, version="x")
    (term,) = leader.terms
    with pytest.raises(NotLeadingError):
        await term.record_removals(1)
    await asyncio.sleep(3.1)
    assert not leader.leads()


@in_virtual_time
async def test_a_lease_that_was_edited_is_still_held() -> None:
    leases = MemoryLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(1)
    leases.leases[LEASE] = replace(leases.leases[LEASE], version="edited")
    await asyncio.sleep(60)
    assert leader.leads()
    assert len(leader.terms) == 1


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_does_not_end_a_term() -> None:
    leases = _FailingLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(1)
    (term,) = leader.terms
    await term.record_removals(2)
    leases.loses_answers = 1
    await asyncio.sleep(60)
    assert leader.leads()
    assert leader.terms == [term]
    leases.loses_answers = 1
    with pytest.raises(NotLeadingError):
        await term.record_removals(3)
    await asyncio.sleep(6)
    assert leader.terms == [term]
    assert sum(count for _, count in leases.leases[LEASE].removals) == 2


@in_virtual_time
async def test_removals_count_for_an_hour_over_all_leaders() -> None:
    leases = MemoryLeases()
    first = _Replica(leases, "a")
    await asyncio.sleep(1)
    await first.terms[0].record_removals(3)
    await asyncio.sleep(30)
    await first.terms[0].record_removals(4)
    await asyncio.sleep(600)
    await first.terms[0].record_removals(5)
    first.task.cancel()
    second = _Replica(leases, "b")
    await asyncio.sleep(5)
    (term,) = second.terms
    assert term.removed_within_the_hour() == 12
    await asyncio.sleep(3600 - 600)
    assert term.removed_within_the_hour() == 5
    await asyncio.sleep(610)
    assert term.removed_within_the_hour() == 0


@in_virtual_time
async def test_an_hour_of_removals_every_second_stays_a_short_list() -> None:
    leases = MemoryLeases()
    leader = _Replica(leases, "a")
    await asyncio.sleep(1)
    for _ in range(3600):
        await leader.terms[0].record_removals(1)
        await asyncio.sleep(1)
    assert len(leases.leases[LEASE].removals) <= 61
    assert leader.terms[0].removed_within_the_hour() >= 3590


@in_virtual_time
async def test_what_a_leader_itself_removes_counts_whatever_is_unused_later() -> None:
    """The same ServiceAccount can be unwanted again, or in another role."""
    leases = MemoryLeases()
    first = _Replica(leases, "a")
    await asyncio.sleep(1)
    await first.terms[0].record_removals(1, ["one"])
    first.task.cancel()
    second = _Replica(leases, "b")
    await asyncio.sleep(5)
    (term,) = second.terms
    await term.record_removals(2, ["two", "three"])
    assert set(leases.leases[LEASE].removing) == {"one", "two", "three"}, (
        "a third leader may have to judge them all"
    )
    term.adopt(["one", "two"])
    assert term.removed_within_the_hour() == 2
    await asyncio.sleep(5)
    assert set(leases.leases[LEASE].removing) == {"two", "three"}


@in_virtual_time
async def test_what_the_leader_before_was_about_to_remove_and_did_not_counts_no_longer() -> None:
    leases = MemoryLeases()
    first = _Replica(leases, "a")
    await asyncio.sleep(1)
    await first.terms[0].record_removals(3, ["one", "two", "three"])
    first.task.cancel()
    second = _Replica(leases, "b")
    await asyncio.sleep(5)
    (term,) = second.terms
    assert term.removed_within_the_hour() == 3, "until it has looked"
    term.adopt(["two", "three", "nine"])
    assert term.removed_within_the_hour() == 1
    term.adopt(["two"])
    assert term.removed_within_the_hour() == 1
    await asyncio.sleep(5)
    assert sum(count for _, count in leases.leases[LEASE].removals) == 1
    assert leases.leases[LEASE].removing == ()
