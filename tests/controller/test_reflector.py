"""The mirror of one kind of object follows whatever happens, and never hammers the API server."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.simulated_cluster import SimulatedSource
from tests.support.virtual_time import in_virtual_time
from webhook.controller.reflector import Reflector
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


A_FEW_SECONDS = 5.0
HOUR = 3600.0
HALF_AN_HOUR = HOUR / 2
A_MINUTE = 60.0
ATTEMPTS_A_MINUTE = 20


@asynccontextmanager
async def _mirrored(
    kind: type[SimulatedSource[str]] = SimulatedSource,
) -> AsyncIterator[tuple[SimulatedSource[str], Reflector[str], list[str]]]:
    source = kind("namespaces", latency=0.02)
    source.put("old", "1")
    reported: list[str] = []
    reflector = Reflector(source, lambda key, _: reported.append(key))
    task = asyncio.create_task(reflector.run())
    yield source, reflector, reported
    assert not task.done()
    task.cancel()


def _busiest_minute(source: SimulatedSource[str]) -> int:
    attempts = sorted([*source.lists, *source.watches])
    return max(bisect_left(attempts, start + A_MINUTE) - index for index, start in enumerate(attempts))


@in_virtual_time
async def test_it_lists_once_and_then_follows_the_watch() -> None:
    async with _mirrored() as (source, reflector, reported):
        await reflector.synced.wait()
        assert reflector.objects == {"old": "1"}
        source.put("new", "1")
        source.put("old", "2")
        source.remove("new")
        await asyncio.sleep(1)
        assert reflector.objects == {"old": "2"}
        assert reported == ["old", "new", "old", "new"]
        assert len(source.lists) == 1


@in_virtual_time
async def test_a_watch_that_ends_in_time_continues_from_where_it_was() -> None:
    async with _mirrored() as (source, reflector, _):
        for number in range(int(HALF_AN_HOUR / A_MINUTE)):
            source.put("counter", str(number))
            await asyncio.sleep(A_MINUTE)
            assert reflector.objects["counter"] == str(number)
        assert len(source.lists) == 1
        assert len(source.watches) < HALF_AN_HOUR / source.watch_seconds + 2


@in_virtual_time
async def test_quiet_watches_are_no_reason_to_list_again() -> None:
    async with _mirrored() as (source, _, reported):
        await asyncio.sleep(HALF_AN_HOUR)
        assert len(source.lists) == 1
        assert reported == ["old"]


@in_virtual_time
async def test_a_version_that_is_too_old_leads_to_a_new_list_within_seconds() -> None:
    async with _mirrored() as (source, reflector, reported):
        await reflector.synced.wait()
        await asyncio.sleep(1)
        reported.clear()
        source.break_watches()
        source.put("new", "1")
        source.put("old", "2")
        source.put("gone", "1")
        source.remove("gone")
        source.forget()
        await asyncio.sleep(A_FEW_SECONDS)
        assert reflector.objects == {"old": "2", "new": "1"}
        assert sorted(reported) == ["new", "old"]
        assert len(source.lists) == 2


@in_virtual_time
async def test_an_object_deleted_while_not_watched_is_reported() -> None:
    async with _mirrored() as (source, reflector, reported):
        await asyncio.sleep(1)
        reported.clear()
        source.break_watches()
        source.remove("old")
        source.forget()
        await asyncio.sleep(A_FEW_SECONDS)
        assert reflector.objects == {}
        assert reported == ["old"]


@in_virtual_time
async def test_a_change_during_the_list_is_not_lost() -> None:
    async with _mirrored() as (source, reflector, _):
        await asyncio.sleep(0.01)
        source.put("old", "2")
        source.put("new", "1")
        await asyncio.sleep(1)
        assert reflector.objects == {"old": "2", "new": "1"}


@in_virtual_time
async def test_a_cut_connection_loses_nothing() -> None:
    async with _mirrored() as (source, reflector, _):
        for number in range(50):
            source.put("counter", str(number))
            source.break_watches()
            await asyncio.sleep(11)
            assert reflector.objects["counter"] == str(number)
        assert len(source.lists) == 1


@pytest.mark.parametrize("trouble", ["failing_lists", "failing_watches", "expiring_watches"])
@in_virtual_time
async def test_lasting_trouble_leads_to_few_attempts_and_ends_with_it(trouble: str) -> None:
    async with _mirrored() as (source, reflector, _):
        setattr(source, trouble, float("inf"))
        await asyncio.sleep(HOUR)
        assert _busiest_minute(source) <= 2 * ATTEMPTS_A_MINUTE
        assert len(source.lists) + len(source.watches) < HOUR / A_MINUTE * ATTEMPTS_A_MINUTE
        setattr(source, trouble, 0)
        source.put("new", "1")
        await asyncio.sleep(15)
        assert reflector.objects == {"old": "1", "new": "1"}


@in_virtual_time
async def test_a_server_that_ends_each_watch_at_once_is_not_hammered() -> None:
    async with _mirrored() as (source, reflector, _):
        source.watch_seconds = 0
        await asyncio.sleep(HOUR)
        assert _busiest_minute(source) <= 2 * ATTEMPTS_A_MINUTE
        source.watch_seconds = 300
        source.put("new", "1")
        await asyncio.sleep(15)
        assert reflector.objects["new"] == "1"


@in_virtual_time
async def test_backoff_starts_small_again_after_things_went_well() -> None:
    async with _mirrored() as (source, reflector, _):
        source.failing_watches = 10
        await asyncio.sleep(120)
        for number in range(5):
            source.put("counter", str(number))
            await asyncio.sleep(10)
            source.break_watches()
            source.put("counter", f"{number} again")
            await asyncio.sleep(1)
            assert reflector.objects["counter"] == f"{number} again"


@in_virtual_time
async def test_backoff_is_spread_so_that_replicas_do_not_come_together() -> None:
    async with _mirrored() as (source, _, _):
        source.failing_watches = float("inf")
        await asyncio.sleep(600)
        gaps = [round(later - earlier, 3) for earlier, later in pairwise(source.watches)]
        assert len(set(gaps[-20:])) > 15
        assert max(gaps) <= 10.1


@in_virtual_time
async def test_it_lists_again_within_each_hour_though_nothing_seems_wrong() -> None:
    async with _mirrored() as (source, _, reported):
        await asyncio.sleep(10 * HOUR)
        between = [after - before for before, after in pairwise(source.lists)]
        assert max(between) <= HOUR
        assert min(between) > HALF_AN_HOUR
        assert reported == ["old"]


@in_virtual_time
async def test_a_list_that_is_due_and_fails_does_not_keep_the_watch_from_going_on() -> None:
    async with _mirrored() as (source, reflector, _):
        await asyncio.sleep(A_MINUTE)
        with_lists_failing = source.list
        source.list = _failing  # type: ignore[method-assign]
        for number in range(int(3 * HOUR / A_MINUTE)):
            source.put("counter", str(number))
            await asyncio.sleep(A_MINUTE)
            assert reflector.objects["counter"] == str(number)
        source.list = with_lists_failing  # type: ignore[method-assign]
        await asyncio.sleep(3 * source.watch_seconds)
        assert len(source.lists) == 2


async def _failing() -> tuple[dict[str, str], str]:
    raise ClusterError("list namespaces: 503 service unavailable")


@pytest.mark.parametrize("cut", [True, False])
@in_virtual_time
async def test_what_an_older_revision_of_etcd_has_is_seen_soon(cut: bool) -> None:  # noqa: FBT001  a parameter of the test
    async with _mirrored() as (source, reflector, reported):
        for number in range(100):
            source.put(f"{number}", "1")
        await asyncio.sleep(10)
        assert len(reflector.objects) == 101
        reported.clear()
        source.restore(2, {"old": "0"})
        if cut:
            source.break_watches()
        source.put("new", "1")
        await asyncio.sleep(A_FEW_SECONDS if cut else source.watch_seconds + A_FEW_SECONDS)
        assert reflector.objects == {"old": "0", "new": "1"}
        assert len(source.lists) == 2
        assert sorted(reported) == sorted({"old", "new"} | {f"{number}" for number in range(100)})
        source.put("newer", "1")
        await asyncio.sleep(1)
        assert reflector.objects["newer"] == "1"


@in_virtual_time
async def test_a_change_with_a_lower_version_leads_to_a_new_list() -> None:
    async with _mirrored() as (source, reflector, _):
        source.put("a", "1")
        source.put("b", "1")
        await asyncio.sleep(1)
        source.restore(1, {"old": "1"})
        source.show(1, "restored", "1")
        await asyncio.sleep(A_FEW_SECONDS)
        assert reflector.objects == {"old": "1"}
        assert len(source.lists) == 2


@in_virtual_time
async def test_a_bookmark_without_progress_has_the_version_checked() -> None:
    async with _mirrored() as (source, reflector, _):
        source.put("a", "1")
        await asyncio.sleep(1)
        source.show(source.version)
        await asyncio.sleep(1)
        assert reflector.in_touch
        assert len(source.lists) == 1
        before = source.version
        source.restore(1, {"old": "1"})
        source.show(before)
        await asyncio.sleep(A_FEW_SECONDS)
        assert reflector.objects == {"old": "1"}


@in_virtual_time
async def test_after_a_failure_it_is_in_touch_again_with_the_first_news_and_no_sooner() -> None:
    async with _mirrored() as (source, reflector, _):
        await asyncio.sleep(1)
        seen = [reflector.in_touch]
        source.break_watches()
        for _ in range(2):
            await asyncio.sleep(A_MINUTE)
            seen.append(reflector.in_touch)
        source.bookmark()
        await asyncio.sleep(0.1)
        assert [*seen, reflector.in_touch] == [True, False, False, True]
