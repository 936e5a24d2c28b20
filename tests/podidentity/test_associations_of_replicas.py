"""Three replicas and one EKS: the leader creates each association, and another one only what is overdue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.pods import ROLE, PodSite
from tests.support.simulated_eks import LATENCY, SimulatedEks, Trouble, refusal
from tests.support.sites import PATIENCE, subject
from tests.support.virtual_time import in_virtual_time, now, until
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted
from webhook.podidentity.association import Need
from webhook.podidentity.association_writer import CALLS_PER_SECOND
from webhook.podidentity.associations import LEADER_GRACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.model.names import Subject

SUBJECT = subject(1)
INTERVAL = 60.0
WITHOUT_A_LEADER = 12.0
"""Seconds: a Lease that ends, and the look of a replica that sees it."""


class Replicas:
    """Three programs over one IAM and one EKS, of which the test says which leads."""

    def __init__(self, eks: SimulatedEks | None = None) -> None:
        self.leader: int | None = 0
        self.since = 0.0
        first = PodSite(eks=eks, leads_since=lambda: self._leads_since(0))
        self.eks, self.iam = first.eks, first.iam
        others = [
            PodSite(self.iam, self.eks, name, lambda number=number: self._leads_since(number))  # type: ignore[misc]
            for number, name in ((1, "b"), (2, "c"))
        ]
        self.sites = [first, *others]
        self._passing = [asyncio.create_task(self._pass(number)) for number in range(3)]

    def _leads_since(self, number: int) -> float | None:
        return self.since if number == self.leader else None

    @property
    def creates(self) -> int:
        return self.eks.calls["create"]

    @property
    def calls(self) -> int:
        return self.eks.calls.total()

    def want(self, subjects: Iterable[Subject]) -> None:
        """As the watch shows namespaces to all replicas."""
        for each in subjects:
            for site in self.sites:
                site.wanted[each] = ROLE
                site.grants.start(site.grant(each))

    def elect(self, number: int | None) -> None:
        """As the Lease says; a replica that wins has a pass at once."""
        self.leader, self.since = number, now()
        if number is not None:
            self._passing[number].cancel()
            self._passing[number] = asyncio.create_task(self._pass(number))

    async def kill(self, number: int) -> None:
        """SIGKILL: whatever is under way ends."""
        self._passing[number].cancel()
        self.elect(None)
        await self.sites[number].grants.close()

    async def _pass(self, number: int) -> None:
        site = self.sites[number]
        while True:
            site.grants.enqueue()
            for each in site.wanted:
                site.grants.start(site.grant(each))
            await asyncio.sleep(INTERVAL)


def many(count: int) -> list[Subject]:
    return [subject(number) for number in range(count)]


@in_virtual_time
async def test_of_three_replicas_the_leader_alone_creates_each_association() -> None:
    here = Replicas()
    await asyncio.sleep(INTERVAL / 2)
    before = here.calls
    crowd = many(300)
    here.want(crowd)
    reviews = [
        here.sites[number % 3].grants.obtain(here.sites[number % 3].grant(each), PATIENCE, Need.ANSWER)
        for number, each in enumerate(crowd)
    ]
    await asyncio.gather(*reviews)
    await asyncio.sleep(len(crowd) / CALLS_PER_SECOND + 5)
    assert set(here.eks.now) == set(crowd)
    assert here.creates == len(crowd)
    assert here.calls - before <= 1.3 * len(crowd)


@in_virtual_time
async def test_while_lists_show_the_leader_at_work_no_other_replica_creates_what_is_missing() -> None:
    here = Replicas()
    crowd = many(int(2.5 * INTERVAL * CALLS_PER_SECOND))
    here.want(crowd)
    await asyncio.sleep(4 * INTERVAL)
    assert set(here.eks.now) == set(crowd)
    assert here.creates == len(crowd)
    assert here.calls <= 1.3 * len(crowd)


@in_virtual_time
async def test_a_burst_during_which_the_leader_dies_is_finished_by_the_next_with_few_calls_more() -> None:
    here = Replicas()
    await asyncio.sleep(INTERVAL / 2)
    before = here.calls
    crowd, began = many(200), now()
    here.want(crowd)
    await asyncio.sleep(len(crowd) / 2 / CALLS_PER_SECOND)
    assert 0 < len(here.eks.now) < len(crowd)
    await here.kill(0)
    await asyncio.sleep(WITHOUT_A_LEADER)
    here.elect(1)
    await until(began + len(crowd) / CALLS_PER_SECOND + WITHOUT_A_LEADER + 3)
    assert set(here.eks.now) == set(crowd)
    assert here.creates <= 1.2 * len(crowd)
    assert here.calls - before <= 1.3 * len(crowd)


@in_virtual_time
async def test_a_replica_that_stops_leading_creates_no_more_and_the_next_leader_does() -> None:
    here = Replicas()
    await asyncio.sleep(1)
    crowd = many(200)
    here.want(crowd)
    reviews = [
        asyncio.create_task(here.sites[0].grants.obtain(here.sites[0].grant(each), 30, Need.ANSWER))
        for each in crowd
    ]
    await asyncio.sleep(4)
    here.elect(None)
    await asyncio.sleep(LATENCY)
    made = here.creates
    await asyncio.sleep(20)
    assert here.creates == made < len(crowd)
    outcomes = {one.kind for one in await asyncio.gather(*reviews) if isinstance(one, Untrusted)}
    assert outcomes == {FailureKind.LEFT_TO_LEADER}
    here.elect(2)
    await asyncio.sleep(len(crowd) / CALLS_PER_SECOND)
    assert set(here.eks.now) == set(crowd)
    assert here.creates <= 1.2 * len(crowd)


@in_virtual_time
async def test_a_review_that_does_not_need_the_association_is_answered_at_once_and_costs_no_call() -> None:
    here = Replicas()
    await asyncio.sleep(1)
    here.eks.calls.clear()
    site, began = here.sites[1], now()
    outcome = await site.grants.obtain(site.grant(SUBJECT), PATIENCE, Need.ANSWER)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.LEFT_TO_LEADER
    assert now() == began
    await asyncio.sleep(10)
    assert here.calls == 0


@pytest.mark.parametrize(("after", "looks"), [(0.0, 1), (0.3, 1), (1.0, 2), (LEADER_GRACE - LATENCY, 2)])
def test_an_association_that_the_leader_creates_in_time_is_created_by_no_other_replica(
    after: float, looks: int
) -> None:
    @in_virtual_time
    async def _() -> None:
        here = Replicas()
        await asyncio.sleep(1)
        here.eks.calls.clear()
        site = here.sites[1]
        asked = asyncio.create_task(site.grants.obtain(site.grant(SUBJECT), PATIENCE))
        await asyncio.sleep(after)
        here.want([SUBJECT])
        assert await asked == Trusted(ROLE, TrustSource.ALREADY)
        assert here.creates == 1
        assert here.eks.calls["list"] == looks

    _()


@in_virtual_time
async def test_an_association_that_no_leader_creates_is_created_by_the_replica_that_needs_it() -> None:
    here = Replicas()
    here.elect(None)
    await asyncio.sleep(1)
    site, began = here.sites[1], now()
    assert await site.grants.obtain(site.grant(SUBJECT), PATIENCE) == Trusted(ROLE, TrustSource.WRITTEN)
    assert began + LEADER_GRACE < now() < began + LEADER_GRACE + 4 * LATENCY
    assert here.creates == 1


@in_virtual_time
async def test_associations_overdue_at_a_leader_that_cannot_reach_eks_are_created_by_another_replica() -> None:
    here = Replicas()
    await asyncio.sleep(1)
    await here.sites[0].grants.close()
    here.want(many(40))
    await asyncio.sleep(INTERVAL)
    assert here.creates == 0
    await asyncio.sleep(INTERVAL + LEADER_GRACE + 2 * 2 * 40 / CALLS_PER_SECOND)
    assert set(here.eks.now) == set(many(40))


@in_virtual_time
async def test_a_new_leader_whose_list_fails_creates_new_associations_all_the_same() -> None:
    here = Replicas()
    await asyncio.sleep(1)
    here.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED), "list", times=1000))
    here.elect(1)
    here.want([SUBJECT])
    await asyncio.sleep(5)
    assert SUBJECT in here.eks.now
