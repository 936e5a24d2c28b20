"""How fast AWS is asked: at once after a rest, more slowly after a no, faster again with success, in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.support.token_bucket import TokenBucket
from tests.support.virtual_time import in_virtual_time, now
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.runtime.rate_limiter import FLOOR, RateLimiter

CEILING = 100.0
CALL = 0.15


async def starts(limiter: RateLimiter, count: int, seconds: float = 0.0) -> list[tuple[float, int]]:
    """When each of `count` callers got its turn, counted from now, and its number in the order of asking."""
    began, got = now(), list[tuple[float, int]]()

    async def call(number: int) -> None:
        async with limiter.turn():
            got.append((now() - began, number))
            await asyncio.sleep(seconds)

    await asyncio.gather(*(call(number) for number in range(count)))
    return got


async def refused(limiter: RateLimiter, kind: FailureKind, times: int = 1) -> None:
    """Have so many turns, one after another, end with an error of AWS."""
    for _ in range(times):
        with suppress(AwsError):
            async with limiter.turn():
                await asyncio.sleep(CALL)
                raise AwsError(kind, "Rate exceeded")


async def made_by(limiter: RateLimiter, bucket: TokenBucket, count: int) -> float:
    """Make so many calls, each again until it is admitted; answers the seconds that they took."""
    began = now()

    async def is_admitted() -> bool:
        try:
            async with limiter.turn():
                await asked(bucket)
        except AwsError:
            await asyncio.sleep(0.25)
            return False
        return True

    async def call() -> None:
        while not await is_admitted():
            pass

    await asyncio.gather(*(call() for _ in range(count)))
    return now() - began


async def asked(bucket: TokenBucket) -> None:
    """One call of an AWS that throttles. Raises AwsError."""
    await asyncio.sleep(CALL)
    if not bucket.admits():
        raise AwsError(FailureKind.THROTTLED, "Rate exceeded")


@in_virtual_time
async def test_after_a_rest_the_turns_of_one_second_begin_at_once_and_the_others_at_the_rate() -> None:
    limiter = RateLimiter("eks", 10, ceiling=10, parallel=100)
    await asyncio.sleep(3600)
    got = [at for at, _ in await starts(limiter, 25)]
    assert sum(at < 1e-6 for at in got) == 10
    assert got[-1] == pytest.approx((25 - 10) / 10)


@in_virtual_time
async def test_no_more_than_so_many_are_under_way() -> None:
    limiter = RateLimiter("eks", 1000, CEILING, parallel=2)
    got = [at for at, _ in await starts(limiter, 6, seconds=1)]
    assert got == pytest.approx([0, 0, 1, 1, 2, 2])


@in_virtual_time
async def test_first_come_is_first_served_also_while_aws_throttles() -> None:
    limiter = RateLimiter("eks", 20, CEILING, parallel=8)
    asked = asyncio.ensure_future(starts(limiter, 50, CALL))
    await asyncio.sleep(0.5)
    await refused(limiter, FailureKind.THROTTLED, times=3)
    assert [number for _, number in await asked] == list(range(50))


@in_virtual_time
async def test_a_throttled_turn_halves_the_rate_for_those_that_wait_already() -> None:
    limiter = RateLimiter("eks", 20, CEILING, parallel=8)
    await refused(limiter, FailureKind.THROTTLED)
    assert limiter.rate == 10
    got = [at for at, _ in await starts(limiter, 11)]
    assert got[0] == pytest.approx(1 / 10)
    assert got[-1] > 0.9


@in_virtual_time
async def test_turns_that_were_under_way_when_it_was_lowered_do_not_lower_it_again() -> None:
    limiter = RateLimiter("eks", 20, CEILING, parallel=8)
    await asyncio.gather(*(refused(limiter, FailureKind.THROTTLED) for _ in range(8)))
    assert limiter.rate == 10


@in_virtual_time
async def test_however_often_aws_throttles_a_turn_a_second_is_left() -> None:
    limiter = RateLimiter("eks", 20, CEILING, parallel=8)
    await refused(limiter, FailureKind.THROTTLED, times=20)
    assert limiter.rate == FLOOR
    before = now()
    assert [at for at, _ in await starts(limiter, 3)][-1] <= 3 / FLOOR
    assert now() - before <= 3 / FLOOR


@in_virtual_time
async def test_a_lone_call_waits_for_nothing_after_a_rest_even_at_the_lowest_rate() -> None:
    limiter = RateLimiter("iam", 20, CEILING)
    await refused(limiter, FailureKind.THROTTLED, times=20)
    await asyncio.sleep(5)
    assert (await starts(limiter, 1))[0][0] == 0


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - {FailureKind.THROTTLED}))
def test_no_other_error_lowers_the_rate(kind: FailureKind) -> None:
    @in_virtual_time
    async def refuse() -> None:
        limiter = RateLimiter("eks", 20, CEILING, parallel=8)
        await refused(limiter, kind, times=3)
        assert limiter.rate == 20

    refuse()


@in_virtual_time
async def test_success_raises_the_rate_up_to_the_ceiling_where_more_is_wanted_and_only_there() -> None:
    limiter = RateLimiter("eks", 20, ceiling=30, parallel=8)
    for _ in range(100):
        await starts(limiter, 1, CALL)
    assert limiter.rate == 20
    await starts(limiter, 60, CALL)
    assert 20 < limiter.rate < 30
    await starts(limiter, 1000, CALL)
    assert limiter.rate == 30


@pytest.mark.parametrize(("admitted", "burst", "count"), [(20.0, 20.0, 1000), (5.0, 5.0, 200), (40.0, 40.0, 1000)])
def test_it_finds_the_rate_that_aws_admits_and_wastes_little_of_it(
    admitted: float, burst: float, count: int
) -> None:
    @in_virtual_time
    async def find() -> None:
        bucket = TokenBucket(admitted, burst, now)
        limiter = RateLimiter("eks", 20, CEILING, parallel=8)
        assert await made_by(limiter, bucket, count) < 1.15 * count / admitted
        assert bucket.throttled < 0.2 * count

    find()


@in_virtual_time
async def test_the_rate_comes_back_once_aws_admits_more_again() -> None:
    bucket = TokenBucket(1, 1, now)
    limiter = RateLimiter("eks", 20, CEILING, parallel=8)
    await made_by(limiter, bucket, 30)
    assert limiter.rate < 6
    bucket.rate = 1000
    await made_by(limiter, bucket, 300)
    assert limiter.rate > 20
