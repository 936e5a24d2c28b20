"""A loop that raises is run again, later each time, and nothing beside it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedPolicies
from tests.support.sites import binding, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, GRACE, INTERVAL, World
from webhook.model.bindings import Mode
from webhook.model.decisions import Grant
from webhook.model.outcomes import Untrusted
from webhook.runtime.supervision import supervise
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROLE, SUBJECT = role(), subject(1)
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _nothing_unexpected() -> Iterator[None]:
    """Not here: each of these tests has a bug, and says itself what is to be counted of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class _Loop:
    """One that raises each time it is run, after `seconds`; `began` says when it was run."""

    def __init__(self, seconds: float = 0.0, error: BaseException | None = None) -> None:
        self.began: list[float] = []
        self.seconds = seconds
        self._error = error or KeyError("a bug")

    async def run(self) -> None:
        self.began.append(now())
        await asyncio.sleep(self.seconds)
        raise self._error

    @property
    def pauses(self) -> list[float]:
        return [b - a - self.seconds for a, b in zip(self.began, self.began[1:], strict=False)]


async def _supervised(loop: _Loop, seconds: float) -> None:
    """Supervise for `seconds`; it must not have ended before."""
    task = asyncio.create_task(supervise("tried", loop.run))
    await asyncio.sleep(seconds)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@in_virtual_time
async def test_a_loop_that_raises_at_once_is_run_again_later_each_time_but_every_ten_seconds() -> None:
    loop, before = _Loop(), _count("tried")
    await _supervised(loop, HOUR)
    assert loop.pauses[0] <= 0.25
    assert all(5 < pause <= 10 for pause in loop.pauses[6:])
    assert HOUR / 10 <= len(loop.began) <= HOUR / 5
    assert _count("tried") - before == len(loop.began)


@in_virtual_time
async def test_a_loop_that_ran_well_before_it_raised_is_run_again_soon() -> None:
    loop = _Loop(seconds=120)
    await _supervised(loop, HOUR)
    assert all(pause <= 0.25 for pause in loop.pauses)


@in_virtual_time
async def test_a_cancelled_future_that_a_loop_waits_for_does_not_end_it() -> None:
    loop = _Loop(error=asyncio.CancelledError())
    await _supervised(loop, 60)
    assert len(loop.began) > 5


@in_virtual_time
async def test_a_loop_in_its_pause_ends_at_once_when_it_is_cancelled() -> None:
    task = asyncio.create_task(supervise("tried", _Loop().run))
    await asyncio.sleep(60)
    began = now()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() == began


@in_virtual_time
async def test_a_bug_in_one_part_of_the_leaders_work_leaves_the_others_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr(world.leader.conflicts, "run", _Raising(after=30))
    world.cluster.add_namespace("mxp-1-system")
    async with world.running():
        await asyncio.sleep(100)
        looked = metrics.prune_last_success._value.get()  # noqa: SLF001  as a scrape reads it
        terms = len(world.leases.leases)
        await asyncio.sleep(HOUR)
        assert metrics.prune_last_success._value.get() > looked  # noqa: SLF001
        assert len(world.leases.leases) == terms
        assert metrics.leading._value.get() == 1  # noqa: SLF001


@in_virtual_time
async def test_a_bug_in_a_grant_is_an_answer_to_the_review_and_a_later_pass_makes_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, before = World(), _count("grants")
    async with world.running():
        with monkeypatch.context() as bug:
            bug.setattr(world.writers[ROLE], "submit", _raise)
            began, outcome = now(), await world.grants.obtain(Grant(SUBJECT, world.bindings[0]), BUDGET)
            assert now() - began < BUDGET
            assert isinstance(outcome, Untrusted)
            assert "an unexpected error of this program" in outcome.reason
            assert _count("grants") == before + 1
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(2 * INTERVAL)
        assert SUBJECT in world.trusted_in(ROLE)


@in_virtual_time
async def test_a_bug_in_a_writer_is_the_reason_in_the_review_and_the_writer_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    async with world.running():
        with monkeypatch.context() as bug:
            bug.setattr(SimulatedPolicies, "read", _raise)
            outcome = await world.grants.obtain(Grant(SUBJECT, world.bindings[0]), BUDGET)
            assert isinstance(outcome, Untrusted)
            assert "an unexpected error of this program" in outcome.reason
        await asyncio.sleep(15)
        assert SUBJECT in world.trusted_in(ROLE)


@in_virtual_time
async def test_a_bug_in_removing_one_association_leaves_the_others_and_a_later_sweep_removes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, before = World(binding(ROLE, mode=Mode.POD_IDENTITY)), _count("associations")
    subjects = [subject(number) for number in range(3)]
    async with world.running():
        for account in subjects:
            world.cluster.add_namespace(account.namespace)
            world.cluster.add_account(account)
        await asyncio.sleep(2 * GRACE)
        assert set(world.eks.now) == set(subjects)
        for account in subjects[:2]:
            world.cluster.remove_namespace(account)
        with monkeypatch.context() as bug:
            bug.setattr(type(world.eks), "delete", _raises_for(world.eks.delete))
            await asyncio.sleep(GRACE + 2 * INTERVAL)
        assert len(world.eks.now) == 2
        assert _count("associations") > before
        await asyncio.sleep(2 * INTERVAL)
        assert set(world.eks.now) == {subjects[2]}


def _raises_for(delete: Callable[[str], Awaitable[None]]) -> Callable[[object, str], Awaitable[None]]:
    """A deletion with a bug that shows with one association alone."""
    broken: list[str] = []

    async def delete_most(_: object, association_id: str) -> None:
        broken[:] = broken or [association_id]
        if association_id in broken:
            raise KeyError("a bug")
        await delete(association_id)

    return delete_most


def _raise(*_: object) -> None:
    raise KeyError("a bug")


class _Raising:
    def __init__(self, after: float) -> None:
        self._after = after

    async def __call__(self, *_: object) -> None:
        await asyncio.sleep(self._after)
        raise KeyError("a bug")


def _count(loop: str) -> float:
    return sample("mxp_identity_unexpected_errors_total", {"loop": loop}) or 0.0
