"""`python -m bench.burst [--sizes 50,100,...] [--alone 1000,...] [--quick]`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.burst.page import Run, page, plot, report
from bench.burst.run import LOST_QUIET_S, ONE_ROLE, POOL, Setting, Way, run

DOCS = Path(__file__).parents[2] / "docs"
SIZES = (50, 100, 200, 500)
QUICK = (20,)
OURS_ALONE = 1000
ROOM_IN_POOL = 500


def measure(sizes: Sequence[int] = SIZES, *, ours_alone: Sequence[int] = (OURS_ALONE,)) -> list[Run]:
    """Run all ways at all sizes, and our own at those of `ours_alone` as well."""
    return [_run(*parts) for parts in _plan(sizes, ours_alone)]


def write(runs: Sequence[Run]) -> None:
    """Write page, plot and data into docs/."""
    (DOCS / "burst.md").write_text(page(runs, LOST_QUIET_S))
    (DOCS / "burst.svg").write_text(plot(runs))
    (DOCS / "burst.json").write_bytes(msgspec.json.format(msgspec.json.encode(list(runs))) + b"\n")


def _plan(sizes: Sequence[int], ours_alone: Sequence[int]) -> Iterator[tuple[Way, Setting, int]]:
    for way in (Way.UNLOCKED, Way.LOCKED):
        yield from ((way, ONE_ROLE, size) for size in sizes)
    yield from ((Way.OURS, ONE_ROLE, size) for size in (*sizes, *ours_alone))
    for way in (Way.LOCKED, Way.OURS):
        yield from ((way, POOL, size) for size in sizes if size <= ROOM_IN_POOL)


def _run(way: Way, setting: Setting, size: int) -> Run:
    print(f"{setting.name}, {way.value}, {size} control planes", file=sys.stderr, flush=True)
    return Run(setting.name, way, run(way, setting, size))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def main() -> int:
    """Run the bench; writes docs/burst.* unless quick."""
    parser = argparse.ArgumentParser(prog="python -m bench.burst")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of control planes")
    parser.add_argument("--alone", default=str(OURS_ALONE), help="further ones, for this webhook alone")
    parser.add_argument("--quick", action="store_true", help="one small size, and nothing is written")
    chosen = parser.parse_args()
    if chosen.quick:
        print(report(measure(QUICK, ours_alone=())))
        return 0
    runs = measure(_numbers(chosen.sizes), ours_alone=_numbers(chosen.alone))
    print(report(runs))
    write(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
