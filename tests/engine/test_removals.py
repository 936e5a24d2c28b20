"""What is approved for removal is removed with the next write, unless it is wanted again by then."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.locks import InProcessLock
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.coordination.lock import REMEMBERED
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, Untrusted

ROLE = role()
ALICE, BOB = subject(1), subject(2)


@in_virtual_time
async def test_what_is_approved_is_removed_and_nothing_else() -> None:
    here = site(SimulatedIam(), ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    here.writers[ROLE].approve_removals({ALICE})
    await asyncio.sleep(5)
    assert here.trusted_in(ROLE) == {BOB}
    assert len(here.iam.made("write")) == 3


@in_virtual_time
async def test_an_approval_is_judged_again_at_the_write() -> None:
    here = site(SimulatedIam(), ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    here.writers[ROLE].approve_removals({ALICE, BOB})
    here.wanted[ROLE].append(ALICE)
    await asyncio.sleep(5)
    assert here.trusted_in(ROLE) == {ALICE}


@in_virtual_time
async def test_a_subject_asked_for_after_the_approval_stays_until_the_watch_must_have_shown_why() -> None:
    here = site(SimulatedIam(), ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    here.writers[ROLE].approve_removals({ALICE, BOB})
    here.writers[ROLE].submit(ALICE)
    await asyncio.sleep(REMEMBERED - 1)
    assert here.trusted_in(ROLE) == {ALICE}


@in_virtual_time
async def test_a_review_of_a_subject_that_is_trusted_keeps_it_so_for_a_minute_after_the_approval() -> None:
    here = site(SimulatedIam(), ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    here.writers[ROLE].approve_removals({ALICE, BOB})
    assert isinstance(await here.grants.obtain(here.grant(ALICE), 3), Trusted)
    for _ in range(5):
        await asyncio.sleep((REMEMBERED - 1) / 5)
        here.writers[ROLE].enqueue()
        assert here.trusts(ROLE, ALICE)
    await asyncio.sleep(5)
    here.writers[ROLE].enqueue()
    await asyncio.sleep(5)
    assert here.trusted_in(ROLE) == set()


@in_virtual_time
async def test_a_review_that_waits_at_the_approval_keeps_its_trust() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    throttled = iam.have(Trouble.THROTTLED)
    asked = asyncio.create_task(here.grants.obtain(here.grant(ALICE), 30))
    await asyncio.sleep(1)
    here.writers[ROLE].approve_removals({ALICE})
    throttled.off()
    assert isinstance(await asked, Trusted)
    here.writers[ROLE].approve_removals({ALICE})
    await asyncio.sleep(REMEMBERED / 2)
    assert here.trusts(ROLE, ALICE)


@pytest.mark.parametrize(
    "trouble",
    [None, Trouble.THROTTLED, Trouble.REFUSED, Trouble.FAILS_AFTERWARDS, Trouble.ANSWER_LOST, Trouble.HANGS],
)
@in_virtual_time
async def test_what_a_review_is_answered_while_the_removal_is_written_is_true_afterwards(
    trouble: Trouble | None,
) -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    await asyncio.sleep(5)
    iam.latency = 1.0
    if trouble:
        iam.have(trouble, "write", times=1)
    here.writers[ROLE].approve_removals({ALICE})
    await asyncio.sleep(1.25)
    assert iam.made("write")[2].outcome == "on its way"
    for pause in (5.0, 30.0):
        outcome = await here.grants.obtain(here.grant(ALICE), 30)
        assert isinstance(outcome, Trusted)
        await asyncio.sleep(pause)
        assert here.trusts(ROLE, ALICE)


@in_virtual_time
async def test_a_subject_that_is_brought_back_is_removed_again_once_a_read_cannot_be_that_old() -> None:
    here = site(SimulatedIam(), ROLE)
    for account in (ALICE, BOB):
        await here.grants.obtain(here.grant(account), 3)
    here.writers[ROLE].approve_removals({ALICE})
    await asyncio.sleep(5)
    own = own_in(ROLE)
    here.iam.edit(ROLE, lambda document: document["Statement"][-1].update(own.render([ALICE, BOB])))
    here.writers[ROLE].enqueue()
    await asyncio.sleep(REMEMBERED + 10)
    assert here.trusted_in(ROLE) == {BOB}


@in_virtual_time
async def test_a_pending_subject_whose_namespace_was_recreated_is_withdrawn_and_not_trusted() -> None:
    """A grant can wait for longer than its namespace lives: its replica slept, or IAM was away."""
    iam = SimulatedIam()
    here = site(iam, ROLE)
    throttled = iam.have(Trouble.THROTTLED)
    asked = [asyncio.create_task(here.grants.obtain(here.grant(account), 60)) for account in (ALICE, BOB)]
    await asyncio.sleep(5)
    here.others.add(ALICE)
    throttled.off()
    alice, bob = await asyncio.gather(*asked)
    assert here.trusted_in(ROLE) == {BOB}
    assert isinstance(alice, Untrusted)
    assert alice.kind is FailureKind.WITHDRAWN
    assert isinstance(bob, Trusted)


@in_virtual_time
async def test_a_subject_of_a_recreated_namespace_that_another_replica_wrote_is_not_brought_back() -> None:
    """A recent write counts whatever a read shows, but not for a namespace that was recreated since."""
    iam, lock = SimulatedIam(), InProcessLock()
    leader = site(iam, ROLE, lock=lock)
    follower = Site(iam, ROLE, name="b", lock=lock)
    for account in (ALICE, BOB):
        await follower.grants.obtain(follower.grant(account), 3)
    leader.others.add(ALICE)
    follower.others.add(ALICE)
    leader.writers[ROLE].approve_removals({ALICE})
    leader.writers[ROLE].enqueue()
    await asyncio.sleep(5)
    follower.writers[ROLE].enqueue()
    await asyncio.sleep(REMEMBERED / 2)
    assert leader.trusted_in(ROLE) == {BOB}
    assert len(iam.made("write")) == 3


@in_virtual_time
async def test_the_last_subject_of_a_role_that_has_no_other_statement_is_removed_and_the_next_is_trusted() -> None:
    iam = SimulatedIam()
    iam.store(ROLE, {"Version": "2012-10-17", "Statement": [own_in(ROLE).render([ALICE])]})
    here = Site(iam, ROLE)
    here.writers[ROLE].approve_removals({ALICE})
    here.writers[ROLE].enqueue()
    await asyncio.sleep(REMEMBERED + 10)
    assert here.trusted_in(ROLE) == set()
    assert len(iam.made("write")) == 1
    here.writers[ROLE].enqueue()
    await asyncio.sleep(5)
    assert len(iam.made("write")) == 1
    assert isinstance(await here.grants.obtain(here.grant(BOB), 3), Trusted)
    assert TrustPolicy(iam.document(ROLE)).statements == [own_in(ROLE).render([BOB])]
