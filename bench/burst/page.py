"""What the runs of a burst say, as a page: tables, the targets, and the plot's data."""

from collections.abc import Sequence

import msgspec

from bench.burst.plot import Line, Panel, svg
from bench.burst.run import CLIENTS, IAM_BURST, IAM_RATE, IAM_SECONDS, ONE_ROLE, POOL, REPLICAS, Way
from bench.burst.verdict import Verdict
from bench.figures import table

HEAD = f"""# A burst of control planes

How hundreds of control planes that are created at once get their trust: by this webhook, and by two simpler ways.
Written by `python -m bench.burst`, also a part of `make bench`. The figures are of one run on one machine;
elsewhere only the ratios within it should hold. [burst.json](burst.json) has them as data.

Each control plane is a namespace, its ServiceAccount and its Deployment. {CLIENTS} clients create them through a
real API server; each client creates the next as soon as the last was answered. The webhook is registered with
`failurePolicy: Ignore` and a timeout of 10 s. EKS's own webhook adds AWS_ROLE_ARN to the pods. Every call of IAM
takes {IAM_SECONDS * 1000:.0f} ms, and calls above {IAM_RATE:.0f} a second (at once: {IAM_BURST:.0f}) are
throttled. The mode is `irsa`; [the two modes](modes.md) has both.

The ways:
- this webhook: {REPLICAS} replicas behind a TCP balancer, with a budget of 3 s.
- no lock (`bench/burst/naive.py`): each review reads the policy, adds its subject and writes, with botocore's
  retries.
- one locked write per grant: the same, with one lock for each role.

The columns:
- trusted: STS accepted a token of the ServiceAccount for the role in its annotation (without an annotation: for
  any of the roles).
- lost: STS accepted none, after {{quiet:.0f}} s without a call of IAM.
- no identity: pods created without AWS_ROLE_ARN, or with a role that proved full and is annotated no longer. They
  never get it without a restart. [burst.json](burst.json) has how many ServiceAccounts had no annotation.
- CREATE: of the ServiceAccount, as its client sees it.
- to trusted: from the sending of that CREATE to the write from which on the policy always names the subject; 0 if
  it was trusted before the CREATE. Of the trusted ones only.

![The ways compared](burst.svg)
"""

COLUMNS = (
    "",
    "control planes",
    "trusted",
    "lost",
    "no identity",
    "CREATE p50",
    "p99",
    "longest",
    "to trusted p50",
    "p99",
    "IAM calls",
    "throttled",
    "writes",
)

COLOURS = {Way.UNLOCKED: "#d1742f", Way.LOCKED: "#8957e5", Way.OURS: "#2da44e"}
SHORTEST = 0.01
"""Seconds: the plot's logarithmic axis has no 0."""

BUDGET_S, SLACK_S, TIMES_SHORTER = 3.0, 0.5, 10.0
CALLS_SHARE = {ONE_ROLE.name: 0.05, POOL.name: 0.20}
TARGET_SIZE = 500


class Run(msgspec.Struct, frozen=True):
    """One run and what became of it."""

    setting: str
    way: Way
    verdict: Verdict


def page(runs: Sequence[Run], quiet: float) -> str:
    """The whole page as Markdown; `quiet` is in seconds."""
    return "\n".join([HEAD.format(quiet=quiet), report(runs), ""])


def report(runs: Sequence[Run]) -> str:
    """A table for each setting, and the targets."""
    settings = sorted({run.setting for run in runs})
    parts = []
    for setting in settings:
        rows = [_row(run) for run in _sorted(runs) if run.setting == setting]
        parts += [f"## {setting[0].upper()}{setting[1:]}", "", table(COLUMNS, rows), ""]
    targets = [row for setting in settings for row in _targets(runs, setting)]
    if targets:
        parts += [f"## Targets, {TARGET_SIZE} control planes", "", table(("", "target", "reached"), targets)]
    return "\n".join(parts)


def plot(runs: Sequence[Run]) -> str:
    """The runs with one role as SVG."""

    def lines(value: str) -> list[Line]:
        found = []
        for way, colour in COLOURS.items():
            verdicts = [run.verdict for run in _sorted(runs) if (run.setting, run.way) == (ONE_ROLE.name, way)]
            points = [(one.control_planes, max(getattr(one, value) or 0.0, SHORTEST)) for one in verdicts]
            found.append(Line(way.value, colour, points))
        return found

    return svg(
        Panel("CREATE to trusted, 99th percentile of those trusted at all", " s", lines("to_trusted_p99")),
        Panel("calls of IAM", "", lines("iam_calls")),
    )


def _sorted(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.verdict.control_planes, list(COLOURS).index(run.way)))


def _row(run: Run) -> tuple[str, ...]:
    one = run.verdict
    return (
        run.way.value,
        str(one.control_planes),
        str(one.trusted),
        str(one.lost),
        str(one.pods_without_identity),
        *(_seconds(value) for value in (one.create_p50, one.create_p99, one.create_max)),
        *(_seconds(value) for value in (one.to_trusted_p50, one.to_trusted_p99)),
        str(one.iam_calls),
        str(one.throttled),
        str(one.writes),
    )


def _targets(runs: Sequence[Run], setting: str) -> list[tuple[str, ...]]:
    found = {
        run.way: run.verdict
        for run in runs
        if run.setting == setting and run.verdict.control_planes == TARGET_SIZE
    }
    ours, locked = found.get(Way.OURS), found.get(Way.LOCKED)
    if ours is None or locked is None:
        return []
    rows = [
        ("trusted", str(TARGET_SIZE), str(ours.trusted)),
        ("pods without identity", "0", str(ours.pods_without_identity)),
        ("longest CREATE", f"at most {BUDGET_S + SLACK_S:.1f} s", _seconds(ours.create_max)),
        (
            "calls of IAM, of those of one locked write per grant",
            f"at most {CALLS_SHARE[setting]:.0%}",
            f"{ours.iam_calls / locked.iam_calls:.1%}",
        ),
    ]
    if ours.to_trusted_p99 and locked.to_trusted_p99:
        times = locked.to_trusted_p99 / ours.to_trusted_p99
        rows.append(
            ("CREATE to trusted, p99, shorter by", f"{TIMES_SHORTER:.0f} times", f"{times:.1f} times"),
        )
    return [(f"{setting}: {name}", target, reached) for name, target, reached in rows]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
