"""How fast AWS is asked: never above the rate for long, never many at once, and not at all after a no."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_time import in_virtual_time, now
from webhook.trust.pace import Pace


async def starts(pace: Pace, count: int, seconds: float = 0.0) -> list[float]:
    """When each of `count` callers got its turn, counted from now, where each has it for `seconds`."""
    began, got = now(), list[float]()

    async def call() -> None:
        async with pace.turn():
            got.append(now() - began)
            await asyncio.sleep(seconds)

    await asyncio.gather(*(call() for _ in range(count)))
    return got


@in_virtual_time
async def test_after_a_rest_a_burst_goes_at_once_and_the_others_at_the_rate() -> None:
    pace = Pace(rate=10, burst=5, parallel=100)
    await asyncio.sleep(3600)
    got = await starts(pace, 25)
    assert sum(at == 0 for at in got) == 5
    assert got[-1] == pytest.approx((25 - 5) / 10)


@in_virtual_time
async def test_no_more_than_so_many_are_under_way() -> None:
    pace = Pace(rate=1000, burst=1000, parallel=2)
    await asyncio.sleep(3600)
    assert await starts(pace, 6, seconds=1) == pytest.approx([0, 0, 1, 1, 2, 2])


@in_virtual_time
async def test_after_a_no_nobody_goes_for_a_while() -> None:
    pace = Pace(rate=10, burst=5, parallel=100)
    await asyncio.sleep(3600)
    pace.rest(7)
    got = await starts(pace, 2)
    assert min(got) >= 7
