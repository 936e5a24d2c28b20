"""`python -m bench.burst [--sizes 50,100,...] [--alone 1000,...] [--quick]`."""

import argparse
import sys

from bench.burst.page import report
from bench.burst.series import OURS_ALONE, SIZES, measure, write

QUICK = (20,)


def main() -> int:
    """Run the bench; writes docs/burst.* unless quick."""
    parser = argparse.ArgumentParser(prog="python -m bench.burst")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of control planes")
    parser.add_argument("--alone", default=",".join(map(str, OURS_ALONE)), help="further ones, for this webhook")
    parser.add_argument("--quick", action="store_true", help="one small size, and nothing is written")
    chosen = parser.parse_args()
    if chosen.quick:
        print(report(measure(QUICK, ours_alone=())))
        return 0
    runs = measure(_numbers(chosen.sizes), ours_alone=_numbers(chosen.alone))
    print(report(runs))
    write(runs)
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


if __name__ == "__main__":
    sys.exit(main())
