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

What the program costs in time and memory, also under attack. The figures of a section are of one run on one
machine; elsewhere only the ratios within a section should hold. `make bench` writes this page and
[a burst of control planes](burst.md); `python -m bench.modes` writes [both modes side by side](modes.md).
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
        "ServiceAccounts are created through a real API server, in small blocks that alternate: without a "
        "webhook, with EKS's own pod identity webhook registered for ServiceAccounts (it answers without a "
        "patch), and with this one. The subject is trusted already, so no call to AWS is made.",
        lambda: admission.report(admission.measure(3000)),
        lambda: admission.report(admission.measure(100, (1, 4))),
    ),
    "pace": Part(
        "The pace towards IAM",
        f"{REPLICAS} replicas behind a balancer, mode irsa. First one role: control planes are created one after "
        f"another, then by {pace.CLIENTS} clients; a call of IAM takes {pace.IAM_SECONDS * 1000:.0f} ms. Then six "
        "roles, as in [the burst](burst.md): a call takes 150 ms, and IAM throttles above 20 calls a second. Two "
        "rows are for comparison. Read and write is a GetRole and then an UpdateAssumeRolePolicy, the shortest "
        "time possible. 0.3 s after each write is `bench/former.py`, which never reads a role sooner than that.",
        lambda: pace.report(pace.measure()),
        lambda: pace.report(pace.measure(10, 40, 60)),
    ),
    "hanging": Part(
        "Many reviews at once while AWS does not answer",
        "IAM does not answer. Hundreds of ServiceAccounts that no role trusts yet are reviewed at once, with a "
        f"budget of {hanging.BUDGET_S:g} s. The table has how long after the budget they are answered, with the "
        "annotation and a warning. The reviews come from the same machine, on open connections or on new ones. "
        "The budget of a review begins when its connection is open; to open so many at once takes time.",
        lambda: hanging.report(hanging.measure()),
        lambda: hanging.report(hanging.measure((50,))),
    ),
    "amendment": Part(
        "A trust policy that thousands want to be in",
        f"{amendment.SUBJECTS:,} ServiceAccounts are wanted in a role whose policy has {amendment.STATEMENTS} "
        f"external statements. With a quota of {amendment.QUOTA:,}, the largest of AWS, most do not fit. With the "
        "other quota, which no account has, all fit. All figures are CPU time. One by one: each statement is "
        "evaluated for each ServiceAccount. `amend`: the same is evaluated, and the new policy worked out. The "
        "pause is the longest time in which nothing else ran while a role's writer read the policy and amended "
        "it.",
        lambda: amendment.report(amendment.measure()),
        lambda: amendment.report(amendment.measure(200)),
    ),
    "memory": Part(
        "Memory and start",
        "The program starts in a cluster that has as many control planes as the first column says. First none of "
        "them is annotated or trusted, so it annotates all and has all trusted (having adopted all). Then it "
        f"starts again with nothing to do (started again). Mode irsa, {memory.ROLES} roles, the environment of "
        "the image. The figures are of resident memory once all are annotated and trusted. And quiet: after "
        f"{memory.QUIET_PASSES} passes that found nothing to do. CPU of a quiet pass: all that the program used "
        "during it.",
        lambda: memory.report(memory.measure()),
        lambda: memory.report(memory.measure((50, 200), quiet_passes=1)),
    ),
    "attacks": Part(
        "Attacks on the ports",
        "Clients in another process attack the program from loopback, each attack for 12 seconds, while AWS does "
        "not answer. Meanwhile an honest client at another address sends reviews of a trusted ServiceAccount, on "
        "a connection that stays open and on new ones, and requests /healthz on new connections. Memory: the "
        "largest resident memory at any time. Left open: the longest time for which an unfinished request stayed "
        "open.",
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
