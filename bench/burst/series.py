"""All runs of a bench, one after another, and what is kept of them in docs/."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.burst.page import Run, page, plot
from bench.burst.run import LOST_QUIET_S, ONE_ROLE, POOL, Setting, Way, run

DOCS = Path(__file__).parents[2] / "docs"
SIZES = (50, 100, 200, 500)
OURS_ALONE = (1000,)
ROOM_IN_POOL = 500


def measure(sizes: Sequence[int] = SIZES, *, ours_alone: Sequence[int] = OURS_ALONE) -> list[Run]:
    """Run all ways at all sizes, and our own at those of `ours_alone` as well."""
    return [_run(*parts) for parts in _plan(sizes, ours_alone)]


def write(runs: Sequence[Run]) -> None:
    """Write page, plot and data into docs/."""
    (DOCS / "evidence" / "burst.md").write_text(page(runs, LOST_QUIET_S))
    (DOCS / "evidence" / "burst.svg").write_text(plot(runs))
    (DOCS / "evidence" / "burst.json").write_bytes(msgspec.json.format(msgspec.json.encode(list(runs))) + b"\n")


def _plan(sizes: Sequence[int], ours_alone: Sequence[int]) -> Iterator[tuple[Way, Setting, int]]:
    """The ways in turn at each size, so that what else the machine does hits them alike."""
    for size in sizes:
        yield from ((way, ONE_ROLE, size) for way in (Way.UNLOCKED, Way.LOCKED, Way.OURS))
        if size <= ROOM_IN_POOL:
            yield from ((way, POOL, size) for way in (Way.LOCKED, Way.OURS))
    yield from ((Way.OURS, ONE_ROLE, size) for size in ours_alone)


def _run(way: Way, setting: Setting, size: int) -> Run:
    print(f"{setting.name}, {way.value}, {size} control planes", file=sys.stderr, flush=True)
    verdict = run(way, setting, size)
    print(f"  {verdict}", file=sys.stderr, flush=True)
    return Run(setting.name, way, verdict)
