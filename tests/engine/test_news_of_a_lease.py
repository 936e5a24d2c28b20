"""A Lease names what another replica wrote. With the right to update Leases that can be forged: it is a hint."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.invariants import assert_writes_were_careful, never_dropped
from tests.support.locks import MemoryLeases
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, SERVICE_ACCOUNT, Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, labelled
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.coordination.lock import MOST_REPORTED, REMEMBERED, LeaseLock
from webhook.iam.policy_cache import PolicyCache
from webhook.iam.recent_writes import RecentWrites
from webhook.iam.role_writer import RoleWriter
from webhook.model.names import Subject
from webhook.model.outcomes import Trusted

ROLE = role()
STRANGERS = {
    "another ServiceAccount": Subject("mxp-a-system", "attacker"),
    "another namespace": Subject("kube-system", SERVICE_ACCOUNT),
    "both": Subject("kube-system", "attacker"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
@in_virtual_time
async def test_an_unwanted_subject_is_not_trusted_because_a_lease_names_it(stranger: Subject) -> None:
    iam, store = SimulatedIam(), MemoryLeases()
    here = site(iam, ROLE, lock=LeaseLock(store, "a"))
    for number in range(4):
        store.forge(ROLE, {stranger: 0.0})
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        assert here.writers[ROLE].cache.trusts(stranger) is None
        await asyncio.sleep(1)
    assert_writes_were_careful(iam, own_in, [subject(number) for number in range(4)])
    (lease,) = store.leases.values()
    assert stranger not in lease.written, "a forged word is not passed on"


@in_virtual_time
async def test_a_lease_that_names_thousands_keeps_no_subject_from_being_trusted() -> None:
    iam, store = SimulatedIam(), MemoryLeases()
    here = site(iam, ROLE, lock=LeaseLock(store, "a"))
    store.forge(ROLE, {Subject(f"n{number}", SERVICE_ACCOUNT): 0.0 for number in range(20 * MOST_REPORTED)})
    assert isinstance(await here.grants.obtain(here.grant(subject(1)), PATIENCE), Trusted)
    assert here.trusted_in(ROLE) == {subject(1)}


@in_virtual_time
async def test_what_another_replica_wrote_survives_a_stale_read_of_this_one() -> None:
    iam, store = SimulatedIam(stale=30), MemoryLeases()
    here = site(iam, ROLE, lock=LeaseLock(store, "a"))
    there = Site(iam, ROLE, name="b", lock=LeaseLock(store, "b"))
    await asyncio.sleep(60)
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    await there.grants.obtain(there.grant(subject(2)), PATIENCE)
    assert here.trusted_in(ROLE) == {subject(1), subject(2)}
    assert never_dropped(iam, ROLE, own_in(ROLE))


@pytest.mark.parametrize("shown_after", [0.0, 5.0, REMEMBERED + 5.0])
@in_virtual_time
async def test_a_subject_counts_from_when_the_watch_shows_its_namespace(shown_after: float) -> None:
    """If that is within the minute: after it IAM's reads show what another replica wrote."""
    iam, store, cluster = SimulatedIam(), MemoryLeases(), SimulatedCluster(SERVICE_ACCOUNT)
    here = site(iam, ROLE)
    cache = ClusterCache((labelled(ROLE, role("second")),), cluster.namespaces, cluster.accounts, now, GRACE)
    lock = LeaseLock(store, "a")
    known = PolicyCache(ROLE)
    writer = RoleWriter(known, own_in, iam.client("b"), lock, DesiredState(cache, {ROLE: known}))
    running = asyncio.create_task(cache.run())
    store.forge(ROLE, {subject(1): 0.0})
    await writer.submit(subject(2)).settled
    assert here.trusted_in(ROLE) == {subject(2)}
    await asyncio.sleep(shown_after)
    cluster.add_namespace(subject(1).namespace)
    await asyncio.sleep(1)
    await writer.submit(subject(3)).settled
    assert here.trusts(ROLE, subject(1)) is (shown_after < REMEMBERED)
    running.cancel()


def _always(_: Subject) -> bool:
    return True


def test_an_addition_by_another_replica_counts_once_the_cluster_may_want_it() -> None:
    wanted: set[Subject] = set()
    recent = RecentWrites()
    recent.learn({subject(1): 10.0, subject(2): 10.0}, {}, now=100.0)
    assert (recent.confirm_additions(wanted.__contains__, 100.0), recent.ages(100.0)) == ([], {})
    wanted.add(subject(1))
    assert recent.confirm_additions(wanted.__contains__, 120.0) == [subject(1)]
    assert recent.ages(120.0) == {subject(1): 30.0}
    assert recent.confirm_additions(wanted.__contains__, 120.0) == []
    assert recent.subjects(149.9) == {subject(1)}
    assert recent.subjects(150.0) == set()
    wanted.add(subject(2))
    assert recent.confirm_additions(wanted.__contains__, 150.0) == [], "a minute after it was written"


def test_what_was_written_here_counts_whether_the_cluster_wants_it_or_not() -> None:
    recent = RecentWrites()
    recent.wrote({subject(1)}, set(), now=100.0)
    assert recent.subjects(101.0) == {subject(1)}


def test_what_was_written_here_long_ago_does_not_hide_that_another_replica_wrote_it_again() -> None:
    recent = RecentWrites()
    recent.wrote({subject(1)}, set(), 10.0)
    recent.learn({subject(1): 5.0}, {}, 80.0)
    assert recent.confirm_additions(_always, 80.0) == [subject(1)]
    assert recent.subjects(134.0) == {subject(1)}


def test_the_newest_of_too_many_wait_to_be_confirmed() -> None:
    recent = RecentWrites()
    for lease in range(3):
        numbers = range(lease * MOST_REPORTED, (lease + 1) * MOST_REPORTED)
        recent.learn({subject(number): 50.0 - number / MOST_REPORTED for number in numbers}, {}, now=100.0)
    newest = [subject(number) for number in range(2 * MOST_REPORTED, 3 * MOST_REPORTED)]
    assert sorted(recent.confirm_additions(_always, 100.0)) == newest
