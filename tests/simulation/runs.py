"""Running seeds: one with its schedule, or many with a summary."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field

import structlog

from tests.simulation.plan import draw
from tests.simulation.world import live_through
from tests.support.quiet import unexpected_errors

_COMMAND = "python -m tests.simulation --seed"
_SHOWN = 10


@dataclass(slots=True)
class Report:
    """What became of one seed."""

    seed: int
    complaints: list[str]
    writes: int = 0
    lost_edits: int = 0
    in_two_roles: int = 0
    removed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    fingerprint: str = ""
    lines: list[str] = field(default_factory=list)


def run(seed: int, *, with_lines: bool = False) -> Report:
    """Run one seed."""
    plan = draw(seed)
    before = unexpected_errors()
    try:
        world = live_through(plan)
    except Exception:  # noqa: BLE001  whatever it is, the seed has failed
        return Report(seed, ["the_simulation_runs: " + traceback.format_exc()])
    witness = world.witness
    complaints = [f"{name}: {what}" for name, what in witness.complaints]
    if unexpected_errors() != before:
        complaints.append("no_unexpected_error: a loop of the program survived an unexpected error")
    lines = [plan.describe()] if with_lines or complaints else []
    if lines:
        lines += [f"{at:9.3f}  {subject:14} {what}" for at, subject, what in witness.schedule]
    return Report(
        seed,
        complaints,
        witness.applied_writes,
        witness.lost_edits,
        len(witness.in_two_roles),
        witness.removals.count,
        witness.faults,
        witness.fingerprint(),
        lines,
    )


def main() -> int:
    """What is typed. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this seed and print its schedule")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run (200)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--processes", type=int, default=1, help="how many at the same time (1)")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of a schedule
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    _quieten()
    if arguments.seed is not None:
        return _replay(arguments.seed)
    return _run_many(range(arguments.first, arguments.first + arguments.seeds), arguments.processes)


def _quieten() -> None:
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # the tasks of killed processes
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)


def _replay(seed: int) -> int:
    report = run(seed, with_lines=True)
    _say("\n".join(report.lines))
    _say(f"seed {seed}, schedule {report.fingerprint[:16]}, {len(report.complaints)} invariants broken")
    for complaint in report.complaints:
        _say(f"  {complaint}")
    return 1 if report.complaints else 0


def _run_many(seeds: range, processes: int) -> int:
    began, failed, total = time.monotonic(), [], Report(-1, [])
    with multiprocessing.Pool(processes, _quieten) as pool:
        for done, report in enumerate(pool.imap_unordered(run, seeds, chunksize=8), 1):
            total.writes += report.writes
            total.lost_edits += report.lost_edits
            total.in_two_roles += report.in_two_roles
            total.removed += report.removed
            total.faults += report.faults
            if report.complaints:
                failed.append(report)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{done}/{len(seeds)} seeds, {len(failed)} failed ")
    if failed:
        _show_failures(sorted(failed, key=lambda report: report.seed))
    seconds = time.monotonic() - began
    _say(f"{len(seeds)} seeds in {seconds:.1f} s ({1000 * seconds * processes / len(seeds):.0f} ms each)")
    _say(f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(total.faults.items()))}")
    _say(
        f"documents written: {total.writes}; external edits lost between read and write: {total.lost_edits}; "
        f"subjects in two roles: {total.in_two_roles}; subjects removed: {total.removed}; "
        f"invariants broken: {sum(len(r.complaints) for r in failed)}"
    )
    return 1 if failed else 0


def _show_failures(failed: list[Report]) -> None:
    first = min(failed, key=lambda report: len(report.lines))
    _say("\n".join(first.lines))
    names = Counter(complaint.split(":")[0] for report in failed for complaint in set(report.complaints))
    for name, count in names.most_common():
        _say(f"broken by {count} seeds: {name}")
    for report in failed[:_SHOWN]:
        _say(f"seed {report.seed}: {report.complaints[0]}\n  replay: {_COMMAND} {report.seed}")
    _say(f"{len(failed)} seeds failed: {' '.join(str(report.seed) for report in failed[:50])}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
