"""The end of a program, and the lock that keeps writers of one role apart."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.invariants import assert_writes_were_careful
from tests.support.locks import InProcessHold, InProcessLock
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, Site, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.iam.write_cycle import WRITE_TIME
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, Untrusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.coordination.lock import Learn, WaitsSince
    from webhook.model.names import RoleArn, Subject

ROLE = role()


@in_virtual_time
async def test_a_write_under_way_is_finished_and_none_starts_after_it() -> None:
    iam = SimulatedIam(latency=1.0)
    here = site(iam, ROLE)
    first = asyncio.create_task(here.grants.obtain(here.grant(subject(1)), 30))
    await asyncio.sleep(1.1)
    assert [call.operation for call in iam.calls] == ["read", "write"]
    here.grants.start(here.grant(subject(2)))
    await here.grants.close()
    assert now() == 2.0
    assert here.trusted_in(ROLE) == {subject(1)}
    await asyncio.sleep(600)
    assert [call.operation for call in iam.calls] == ["read", "write"]
    assert first.done()


@in_virtual_time
async def test_a_review_under_way_at_the_end_is_answered() -> None:
    here = site(SimulatedIam(latency=1.0), ROLE)
    asking = asyncio.create_task(here.grants.obtain(here.grant(subject(1)), 30))
    await asyncio.sleep(0.1)
    await here.grants.close()
    outcome = await asking
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.PENDING


@in_virtual_time
async def test_a_grant_asked_for_after_the_end_is_answered_at_once_and_nothing_starts() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    await here.grants.close()
    here.grants.start(here.grant(subject(1)))
    here.grants.enqueue()
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert "shutting down" in outcome.reason
    assert now() == 0
    await asyncio.sleep(60)
    assert iam.calls == []


@in_virtual_time
async def test_the_end_does_not_wait_for_a_lock_that_another_holds() -> None:
    iam, lock = SimulatedIam(), InProcessLock()
    here = site(iam, ROLE, lock=lock)
    async with lock.hold(ROLE, ignored, now):
        here.grants.start(here.grant(subject(1)))
        await asyncio.sleep(1)
        await here.grants.close()
    assert now() == 1
    assert iam.calls == []


@in_virtual_time
async def test_the_end_does_not_wait_for_a_backoff() -> None:
    iam = SimulatedIam()
    here = Site(iam, ROLE)
    here.grants.start(here.grant(subject(1)))
    await asyncio.sleep(100.7)
    before = now()
    await here.grants.close()
    assert now() - before < 0.1


@in_virtual_time
async def test_two_programs_under_one_lock_never_lose_each_others_subjects() -> None:
    iam, lock = SimulatedIam(limit=131072), InProcessLock()
    sites = [site(iam, ROLE, name="a", lock=lock), *(Site(iam, ROLE, name=name, lock=lock) for name in "bcd")]
    crowd = [subject(number) for number in range(60)]

    async def arrive(number: int) -> None:
        await asyncio.sleep(number * 0.02)
        here = sites[number % len(sites)]
        assert isinstance(await here.grants.obtain(here.grant(crowd[number]), 30), Trusted)

    await asyncio.gather(*(arrive(number) for number in range(len(crowd))))
    assert sites[0].trusted_in(ROLE) == set(crowd)
    assert_writes_were_careful(iam, own_in, crowd)


@in_virtual_time
async def test_the_lock_keeps_the_cycles_of_one_role_apart_and_lets_roles_go_side_by_side() -> None:
    lock = InProcessLock()
    inside: list[str] = []

    async def cycle(one: RoleArn) -> None:
        async with lock.hold(one, ignored, now) as hold:
            assert hold.outlasts(3600)
            assert one.name not in inside
            inside.append(one.name)
            await asyncio.sleep(1)
            inside.remove(one.name)

    await asyncio.gather(*(cycle(role(name)) for name in ("one", "other") for _ in range(3)))
    assert now() == 3


def ignored(written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
    """Whatever others wrote."""


class ShortHold(InProcessHold):
    def outlasts(self, seconds: float) -> bool:
        return seconds < 2


class ShortLock:
    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[ShortHold]:  # noqa: ARG002
        yield ShortHold()


@in_virtual_time
async def test_no_write_starts_under_a_lock_that_would_not_outlast_it() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE, lock=ShortLock())
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert iam.made("write") == []
    assert isinstance(outcome, Untrusted)
    assert "lock" in outcome.reason


class OldLock:
    """Hands out locks that end four seconds after the cycle has begun."""

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[InProcessHold]:  # noqa: ARG002
        yield _EndsAt(now() + WRITE_TIME + 1)


class _EndsAt(InProcessHold):
    def __init__(self, end: float) -> None:
        self._end = end

    def outlasts(self, seconds: float) -> bool:
        return now() + seconds < self._end


@in_virtual_time
async def test_a_write_whose_credentials_took_too_long_is_not_sent_under_a_lock_that_ends() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE, lock=OldLock())
    iam.credentials_take = 2.0
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert iam.made("write") == []
    assert isinstance(outcome, Untrusted)
    iam.credentials_take = 0.0
    await asyncio.sleep(30)
    assert here.trusts(ROLE, subject(1))
