"""A subject that one replica removed is not written again by another that remembers it, or reads an old answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.locks import MemoryLeases
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, SERVICE_ACCOUNT, Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, labelled
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.coordination.leases import DURATION
from webhook.coordination.lock import MOST_REPORTED, REMEMBERED, LeaseLock, lease_name
from webhook.iam.policy_cache import PolicyCache
from webhook.iam.role_writer import RoleWriter
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.errors import ClusterError
from webhook.model.names import Subject
from webhook.model.outcomes import Trusted

if TYPE_CHECKING:
    from webhook.coordination.leases import Lease

ROLE = role()
ALICE, BOB, CAROL = subject(1), subject(2), subject(3)


class Replicas:
    """Three replicas of one program, which share IAM and the Leases. `a` leads."""

    def __init__(self, stale: float = 0.0, store: MemoryLeases | None = None) -> None:
        self.iam, self.store = SimulatedIam(stale=stale), store or MemoryLeases()
        self.a = site(self.iam, ROLE, lock=LeaseLock(self.store, "a"))
        self.b, self.c = (Site(self.iam, ROLE, name=name, lock=LeaseLock(self.store, name)) for name in ("b", "c"))

    async def trust(self, replica: Site, account: Subject) -> None:
        assert isinstance(await replica.grants.obtain(replica.grant(account), PATIENCE), Trusted)

    async def remove(self, account: Subject) -> None:
        """Have the leader remove it, as soon as its reads show it."""
        self.a.writers[ROLE].approve_removals({account})
        while account in self.trusted:
            self.a.writers[ROLE].enqueue()
            await asyncio.sleep(1)
        self.a.writers[ROLE].approve_removals(set())

    @property
    def trusted(self) -> frozenset[Subject]:
        return self.a.trusted_in(ROLE)

    @property
    def lease(self) -> Lease:
        return self.store.leases[lease_name(ROLE)]

    def was_trusted_since(self, documents: int, account: Subject) -> bool:
        """Whether any document after the first so many trusts it."""
        later = self.iam.history(ROLE)[documents:]
        return any(account in TrustPolicy(document).subjects(own_in(ROLE)) for document in later)


@pytest.mark.parametrize("stale", [0.0, 3.0, 20.0])
@in_virtual_time
async def test_a_replica_that_wrote_a_subject_does_not_bring_it_back_after_its_removal(stale: float) -> None:
    """By its memory where reads are fresh, by an old read where they are not."""
    here = Replicas(stale)
    await here.trust(here.b, ALICE)
    await here.remove(ALICE)
    documents = len(here.iam.history(ROLE))
    await here.trust(here.b, BOB)
    assert here.trusted == {BOB}
    for _ in range(6):
        for replica in (here.a, here.b, here.c):
            replica.grants.enqueue()
        await asyncio.sleep(REMEMBERED / 3)
    assert here.trusted == {BOB}
    assert not here.was_trusted_since(documents, ALICE)


@in_virtual_time
async def test_a_removal_is_passed_on_by_the_replica_that_writes_next() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    await here.remove(ALICE)
    await here.trust(here.c, BOB)
    await here.trust(here.b, CAROL)
    assert here.trusted == {BOB, CAROL}


@in_virtual_time
async def test_a_removal_is_passed_on_by_a_replica_whose_watch_cannot_confirm_it() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    await here.remove(ALICE)
    here.c.may_remove = lambda one, account: False  # type: ignore[method-assign]  # noqa: ARG005
    await here.trust(here.c, BOB)
    assert set(here.lease.removed) == {ALICE}
    await here.trust(here.b, CAROL)
    assert here.trusted == {BOB, CAROL}


@in_virtual_time
async def test_a_replica_whose_watch_is_interrupted_does_not_bring_a_removed_subject_back() -> None:
    """It cannot confirm the removal, but by the last that it was shown no binding uses the subject."""
    here = Replicas()
    await here.trust(here.b, ALICE)
    await here.remove(ALICE)
    here.b.may_remove = lambda one, account: False  # type: ignore[method-assign]  # noqa: ARG005
    here.b.seems_unused = lambda one, account: account == ALICE  # type: ignore[method-assign]  # noqa: ARG005
    await here.trust(here.b, BOB)
    assert here.trusted == {BOB}


@in_virtual_time
async def test_a_removal_that_was_never_sent_is_made_by_no_other_replica() -> None:
    """Its lock would not have outlasted the write, and then the approval was withdrawn."""
    here = Replicas()
    await here.trust(here.b, ALICE)
    here.iam.credentials_take = DURATION
    here.a.writers[ROLE].approve_removals({ALICE})
    here.a.writers[ROLE].enqueue()
    await asyncio.sleep(3 * DURATION)
    here.a.writers[ROLE].approve_removals(set())
    here.iam.credentials_take = 0.0
    await here.trust(here.b, BOB)
    assert here.trusted == {ALICE, BOB}


@in_virtual_time
async def test_a_subject_wanted_again_is_written_again_and_stays() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    await here.remove(ALICE)
    for replica in (here.a, here.b, here.c):
        replica.wanted[ROLE] = [ALICE]
    await here.trust(here.c, ALICE)
    assert (set(here.lease.written), set(here.lease.removed)) == ({ALICE}, set())
    here.iam.stale = 30
    await here.trust(here.b, BOB)
    await here.trust(here.a, CAROL)
    assert here.trusted == {ALICE, BOB, CAROL}


@pytest.mark.parametrize("stale", [0.0, 30.0], ids=["reads show it", "reads do not show it"])
@pytest.mark.parametrize("wanted", [True, False], ids=["a binding wants it", "it waits for trust"])
@in_virtual_time
async def test_a_forged_removal_changes_nothing_for_a_subject_that_is_wanted(wanted: bool, stale: float) -> None:  # noqa: FBT001
    here = Replicas()
    if wanted:
        here.b.wanted[ROLE] = [ALICE]
    await here.trust(here.b, ALICE)
    here.iam.stale = stale
    documents = len(here.iam.history(ROLE))
    for number in range(10, 14):
        here.store.forge(ROLE, {}, {ALICE: 0.0})
        if not wanted:
            here.b.writers[ROLE].submit(ALICE)
        await here.trust(here.b, subject(number))
    later = here.iam.history(ROLE)[documents:]
    assert len(later) == 4
    assert all(ALICE in TrustPolicy(document).subjects(own_in(ROLE)) for document in later)


@in_virtual_time
async def test_a_forged_removal_is_no_reason_for_a_write_and_takes_nothing_that_a_later_read_shows() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    writes = len(here.iam.made("write"))
    for _ in range(30):
        here.store.forge(ROLE, {}, {ALICE: 0.0})
        here.b.grants.enqueue()
        await asyncio.sleep(REMEMBERED / 10)
    assert here.trusted == {ALICE}
    assert len(here.iam.made("write")) == writes


@pytest.mark.parametrize(
    ("written", "removed", "stays"), [(5.0, 10.0, True), (10.0, 5.0, False), (5.0, 5.0, True)]
)
@in_virtual_time
async def test_of_a_write_and_a_removal_the_later_one_counts(
    written: float, removed: float, *, stays: bool
) -> None:
    here = Replicas(stale=30)
    await here.trust(here.c, ALICE)
    here.store.forge(ROLE, {ALICE: written}, {ALICE: removed})
    await here.trust(here.b, BOB)
    assert (ALICE in here.trusted) is stays


@in_virtual_time
async def test_a_removal_older_than_this_replicas_own_write_is_ignored() -> None:
    here = Replicas(stale=30)
    await here.trust(here.b, ALICE)
    await asyncio.sleep(5)
    here.store.forge(ROLE, {}, {ALICE: 20.0})
    await here.trust(here.b, BOB)
    assert here.trusted == {ALICE, BOB}


@in_virtual_time
async def test_a_lease_that_names_thousands_of_removals_keeps_no_subject_from_being_trusted() -> None:
    here = Replicas()
    here.b.wanted[ROLE] = [ALICE]
    await here.trust(here.b, ALICE)
    flood = {Subject(f"n{number}", SERVICE_ACCOUNT): 0.0 for number in range(MOST_REPORTED)}
    for number in range(10, 15):
        here.store.forge(ROLE, {}, flood)
        await here.trust(here.b, subject(number))
    assert here.trusted == {ALICE, *map(subject, range(10, 15))}
    assert len(here.lease.removed) <= MOST_REPORTED


@pytest.mark.parametrize("in_touch", [True, False])
@in_virtual_time
async def test_while_the_watch_fails_no_removal_is_believed(*, in_touch: bool) -> None:
    """A cache that is out of touch does not know whether a namespace is there."""
    iam, store, cluster = SimulatedIam(), MemoryLeases(), SimulatedCluster(SERVICE_ACCOUNT)
    here = site(iam, ROLE)
    cache = ClusterCache((labelled(ROLE),), cluster.namespaces, cluster.accounts, now, GRACE)
    cluster.add_namespace(BOB.namespace)
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(1)
    known = PolicyCache(ROLE)
    desired = DesiredState(cache, {ROLE: known})
    writer = RoleWriter(known, own_in, iam.client("b"), LeaseLock(store, "b"), desired)
    iam.edit(ROLE, lambda document: document["Statement"].append(own_in(ROLE).render([ALICE])))
    if not in_touch:
        cluster.accounts[SERVICE_ACCOUNT].failing_watches = float("inf")
        cluster.break_watches()
        await asyncio.sleep(1)
    store.forge(ROLE, {}, {ALICE: 0.0})
    await writer.submit(BOB).settled
    assert here.trusts(ROLE, ALICE) is not in_touch
    running.cancel()


@in_virtual_time
async def test_a_replica_that_ends_in_the_middle_of_a_removal_has_reported_it() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    await asyncio.sleep(1)
    here.iam.latency = 2.0
    here.a.writers[ROLE].approve_removals({ALICE})
    here.a.writers[ROLE].enqueue()
    await asyncio.sleep(2.5)
    assert [call.operation for call in here.iam.calls if call.ended == float("inf")] == ["write"]
    await here.a.grants.close()
    assert set(here.lease.removed) == {ALICE}
    assert here.lease.holder is None


@in_virtual_time
async def test_a_removal_whose_write_got_no_answer_is_reported_even_by_a_process_that_ends() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    here.iam.have(Trouble.ANSWER_LOST, "write", times=1)
    await here.remove(ALICE)
    await here.a.grants.close()
    await here.trust(here.b, BOB)
    assert here.trusted == {BOB}


@in_virtual_time
async def test_a_removal_whose_write_got_no_answer_is_passed_on_with_later_writes() -> None:
    here = Replicas()
    await here.trust(here.b, ALICE)
    here.iam.have(Trouble.ANSWER_LOST, "write", times=1)
    here.a.writers[ROLE].approve_removals({ALICE})
    here.a.writers[ROLE].enqueue()
    await asyncio.sleep(10)
    await here.trust(here.a, CAROL)
    await here.trust(here.b, BOB)
    assert here.trusted == {BOB, CAROL}


class FailingLeases(MemoryLeases):
    """Fails so many times to store what a write has changed."""

    failures = 0

    async def update(self, lease: Lease) -> Lease | None:
        if self.failures and lease.edition != self.leases[lease.name].edition:
            self.failures -= 1
            raise ClusterError("PUT lease: 503 service unavailable")
        return await super().update(lease)


@in_virtual_time
async def test_a_removal_is_reported_although_the_api_server_fails_for_a_while() -> None:
    here = Replicas(store=(store := FailingLeases()))
    await here.trust(here.b, ALICE)
    store.failures = 6
    await here.remove(ALICE)
    await here.trust(here.b, BOB)
    assert store.failures == 0
    assert here.trusted == {BOB}


@in_virtual_time
async def test_a_removal_that_could_not_be_reported_is_reported_with_the_next_write() -> None:
    here = Replicas(store=(store := FailingLeases()))
    await here.trust(here.b, ALICE)
    store.failures = 1000
    await here.remove(ALICE)
    await asyncio.sleep(15)
    store.failures = 0
    await here.trust(here.a, BOB)
    await here.trust(here.b, CAROL)
    assert here.trusted == {BOB, CAROL}
