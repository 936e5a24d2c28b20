"""`python -m bench` measures everything and writes bench.md and burst.* of docs/evidence; `--quick` only tries it.

A part's name measures that part alone, and replaces its section: `python -m bench admission`.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import admission, amendment, attacks, hanging, memory, pace
from bench.burst import series as bursts
from bench.burst.page import report as report_bursts
from bench.burst.run import REPLICAS

PAGE = Path(__file__).parent.parent / "docs" / "evidence" / "bench.md"

HEAD = """# Measurements

Written by `make bench`. Bursts of control planes are on [a page of their own](burst.md). The same burst in both
modes, by `python -m bench.modes`, is on [another](modes.md). The figures of a section are of one run on one
machine. Only the ratios within a section are meant to hold elsewhere.
"""


@dataclass(frozen=True)
class Part:
    """One section of the page; both measurements answer Markdown."""

    title: str
    text: str
    full: Callable[[], str]
    quick: Callable[[], str]


PARTS = {
    "admission": Part(
        "What a webhook adds to the creation of a ServiceAccount",
        "ServiceAccounts are created through a real API server, in small blocks in turn: without a webhook, with "
        "EKS's own pod identity webhook registered for ServiceAccounts (it answers without a patch), and with "
        "this one. The subject is trusted already, so no call to AWS is made.",
        lambda: admission.report(admission.measure(3000)),
        lambda: admission.report(admission.measure(100, (1, 4))),
    ),
    "pace": Part(
        "The pace towards IAM",
        f"{REPLICAS} replicas behind a balancer, mode irsa. Control planes are created one after another, and "
        f"then by {pace.CLIENTS} clients, in one role; a call of IAM takes {pace.IAM_SECONDS * 1000:.0f} ms. Then "
        "they are created in six roles as in [the burst](burst.md); a call takes 150 ms, and IAM throttles above "
        "20 calls a second. The limit is a GetRole and an UpdateAssumeRolePolicy, one after the other. The former "
        "way, which `bench/former.py` replays, reads a role 0.3 s after its last write and never sooner.",
        lambda: pace.report(pace.measure()),
        lambda: pace.report(pace.measure(10, 40, 60)),
    ),
    "hanging": Part(
        "Many reviews at once while AWS does not answer",
        "IAM hangs. So many ServiceAccounts that no role trusts yet are reviewed at once, with a budget of "
        f"{hanging.BUDGET_S:g} s. The table has how long after the budget they are answered, with the annotation "
        "and a warning. The reviews come from the same machine, on connections that were open before or on new "
        "ones. The budget of a review begins when its connection is open; opening so many at once takes a while.",
        lambda: hanging.report(hanging.measure()),
        lambda: hanging.report(hanging.measure((50,))),
    ),
    "amendment": Part(
        "A trust policy that thousands want to be in",
        f"{amendment.SUBJECTS:,} ServiceAccounts are wanted in a role whose policy has {amendment.STATEMENTS} "
        f"external statements. The quota is {amendment.QUOTA:,}, the largest that is known, where most find no "
        "room, or one that no account has, where all fit. All figures are CPU time. One by one: each statement is "
        "evaluated for each ServiceAccount alone. `amend` evaluates the same and makes the policy. The pause is "
        "the longest time in which nothing else ran while a role's writer read the policy and amended it.",
        lambda: amendment.report(amendment.measure()),
        lambda: amendment.report(amendment.measure(200)),
    ),
    "memory": Part(
        "Memory and start",
        "The program starts beside a cluster in which so many control planes exist already. At first none of them "
        "is annotated or trusted, so that all are adopted. Then it starts again with nothing left to do. Mode "
        f"irsa, {memory.ROLES} roles, the environment of the image. Memory is resident memory once all are "
        f"annotated and trusted, and after {memory.QUIET_PASSES} passes that found nothing to do. The CPU of such "
        "a pass is all that the program spent meanwhile.",
        lambda: memory.report(memory.measure()),
        lambda: memory.report(memory.measure((50, 200), quiet_passes=1)),
    ),
    "attacks": Part(
        "Attacks on the ports",
        "Clients in another process attack the program from loopback, each in its way for 12 seconds, while AWS "
        "does not answer. Meanwhile an honest client at another address sends reviews of a trusted "
        "ServiceAccount, on a connection that it keeps and on new ones, and requests /healthz on new "
        "connections. Memory is the most that was resident at any time. Left open is the longest time for which "
        "an unfinished request stayed open.",
        lambda: attacks.report(attacks.measure()),
        lambda: attacks.report(attacks.measure(("bodies", "handshakes", "unread"))),
    ),
}


def main() -> int:
    """Measure what the command line names; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure, and write what was measured into docs/evidence/bench.md."
    )
    parser.add_argument("--quick", action="store_true", help="only try it out: figures of little worth")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all unless given")
    wanted = parser.parse_args()
    if unknown := set(wanted.part) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    sections = _sections(PAGE.read_text())
    for name in wanted.part or PARTS:
        part = PARTS[name]
        figures = part.quick() if wanted.quick else part.full()
        print(f"{part.title}\n\n{figures}\n", flush=True)
        sections[part.title] = f"{part.text}\n\n{figures}\n\n```\n.venv/bin/python -m bench {name}\n```\n"
    if not wanted.quick:
        PAGE.write_text(_page(sections))
    if not wanted.part:
        runs = bursts.measure((20,), ours_alone=()) if wanted.quick else bursts.measure()
        print(report_bursts(runs))
        if not wanted.quick:
            bursts.write(runs)
    return 0


def _sections(page: str) -> dict[str, str]:
    """The page's sections by their titles."""
    return {title: text for title, _, text in (each.partition("\n") for each in page.split("\n## ")[1:])}


def _page(sections: dict[str, str]) -> str:
    titles = [part.title for part in PARTS.values() if part.title in sections]
    return "\n".join((HEAD, *(f"## {title}\n{sections[title].strip()}\n" for title in titles)))


if __name__ == "__main__":
    sys.exit(main())
