"""`make matrix`: runs what tests/versions/areas.py lists on each Kubernetes, and the unit tests on each Python.

docs/run/versions.json keeps what passed after each version, and docs/run/versions.md is written from it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from rig.tools.catalogue import KUBERNETES
from tests.versions.page import page
from tests.versions.pythons import PYTHONS
from tests.versions.results import PAGE, Result, load, save
from tests.versions.runs import on_kubernetes, on_python

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
KNOWN = [*KUBERNETES, *PYTHONS]


def main(arguments: Sequence[str]) -> int:
    """What is typed. Answers the exit code: 1 where something failed or was not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("versions", metavar="VERSION", nargs="*", help=f"{', '.join(KNOWN)} (all of them)")
    parser.add_argument("--jobs", type=int, default=4, help="pytest's workers (4)")
    typed = parser.parse_args(arguments)
    if unknown := set(typed.versions) - set(KNOWN):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    good = [_run(version, typed.jobs).is_good for version in typed.versions or KNOWN]
    sys.stdout.write(f"\n{PAGE.read_text(encoding='utf-8')}")
    return 0 if all(good) else 1


def _run(version: str, jobs: int) -> Result:
    kind, on = ("kubernetes", on_kubernetes) if version in KUBERNETES else ("python", on_python)
    sys.stdout.write(f"\n== {kind} {version}\n")
    sys.stdout.flush()
    result = on(version, jobs)
    kept = load()
    getattr(kept, kind)[version] = result
    save(kept)
    PAGE.write_text(page(load()), encoding="utf-8")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
