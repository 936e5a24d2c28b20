"""Who is approved for removal leaves with the next write, unless somebody wants it by then."""

from __future__ import annotations

import asyncio

from tests.support.locks import InProcessLock
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.trust.outcomes import Trusted, Untrusted
from webhook.trust.ports import FailureKind
from webhook.trust.recent import REMEMBERED

ROLE = role()
ALICE, BOB = subject(1), subject(2)


@in_virtual_time
async def test_who_is_approved_leaves_and_nobody_else() -> None:
    here = site(SimulatedIam(), ROLE)
    for who in (ALICE, BOB):
        await here.grants.obtain(here.grant(who), 3)
    here.writers[ROLE].leave({ALICE})
    await asyncio.sleep(5)
    assert here.trusted_in(ROLE) == {BOB}
    assert len(here.iam.made("write")) == 3


@in_virtual_time
async def test_an_approval_is_judged_again_at_the_write() -> None:
    here = site(SimulatedIam(), ROLE)
    for who in (ALICE, BOB):
        await here.grants.obtain(here.grant(who), 3)
    here.writers[ROLE].leave({ALICE, BOB})
    here.wanted[ROLE].append(ALICE)
    await asyncio.sleep(5)
    assert here.trusted_in(ROLE) == {ALICE}


@in_virtual_time
async def test_who_asks_for_trust_after_the_approval_stays_until_the_watch_must_have_shown_why() -> None:
    here = site(SimulatedIam(), ROLE)
    for who in (ALICE, BOB):
        await here.grants.obtain(here.grant(who), 3)
    here.writers[ROLE].leave({ALICE, BOB})
    here.writers[ROLE].submit(ALICE)
    await asyncio.sleep(REMEMBERED - 1)
    assert here.trusted_in(ROLE) == {ALICE}


@in_virtual_time
async def test_who_is_brought_back_leaves_again_once_a_read_cannot_be_that_old() -> None:
    here = site(SimulatedIam(), ROLE)
    for who in (ALICE, BOB):
        await here.grants.obtain(here.grant(who), 3)
    here.writers[ROLE].leave({ALICE})
    await asyncio.sleep(5)
    own = own_in(ROLE)
    here.iam.edit(ROLE, lambda document: document["Statement"][-1].update(own.render([ALICE, BOB])))
    here.writers[ROLE].check()
    await asyncio.sleep(REMEMBERED + 10)
    assert here.trusted_in(ROLE) == {BOB}


@in_virtual_time
async def test_who_waits_and_has_another_owner_by_now_is_told_so_and_not_trusted() -> None:
    """A grant can wait for longer than its namespace lives: its replica slept, or IAM was away."""
    iam = SimulatedIam()
    here = site(iam, ROLE)
    throttled = iam.have(Trouble.THROTTLED)
    asked = [asyncio.create_task(here.grants.obtain(here.grant(who), 60)) for who in (ALICE, BOB)]
    await asyncio.sleep(5)
    here.others.add(ALICE)
    throttled.off()
    alice, bob = await asyncio.gather(*asked)
    assert here.trusted_in(ROLE) == {BOB}
    assert isinstance(alice, Untrusted)
    assert alice.kind is FailureKind.WITHDRAWN
    assert isinstance(bob, Trusted)


@in_virtual_time
async def test_who_was_written_by_another_replica_and_has_another_owner_by_now_is_not_brought_back() -> None:
    """What was written lately stays whatever a read says, but not for whoever has taken the name since."""
    iam, lock = SimulatedIam(), InProcessLock()
    leader = site(iam, ROLE, lock=lock)
    follower = Site(iam, ROLE, name="b", lock=lock)
    for who in (ALICE, BOB):
        await follower.grants.obtain(follower.grant(who), 3)
    leader.others.add(ALICE)
    follower.others.add(ALICE)
    leader.writers[ROLE].leave({ALICE})
    leader.writers[ROLE].check()
    await asyncio.sleep(5)
    follower.writers[ROLE].check()
    await asyncio.sleep(REMEMBERED / 2)
    assert leader.trusted_in(ROLE) == {BOB}
    assert len(iam.made("write")) == 3
