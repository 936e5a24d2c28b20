"""docs/run/diagnosis.md: what was seen of each broken cluster, what was run, and what was seen then."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.figures import table
from tests.alerts.rules import REPOSITORY
from tests.diagnosis.panels import NO_DATA, top_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.diagnosis.investigation import Alert, Case, Look, Round
    from tests.diagnosis.panels import Shown

PAGE = REPOSITORY / "docs" / "run" / "diagnosis.md"

HEAD = """# Five broken clusters, found and repaired

Written by `python -m tests.diagnosis`, from five real API servers with the chart installed, one AWS account of the
rig, and one real Prometheus with the chart's alerts as they are. All five clusters were broken at once. Each was
found and repaired with nothing but the dashboard, the alerts and `mxp-identity verify`. A test does the same, and
compares what it sees with this page.

Figures of the dashboard are what Prometheus answers to the panels' own queries, with the colour of the panel's
thresholds. Commands are those that `verify` printed, as they were run.
"""


def page(cases: Sequence[Case]) -> str:
    """Return the page."""
    return "\n".join([HEAD, *_overview(cases), *(line for case in cases for line in _case(case))])


def _overview(cases: Sequence[Case]) -> Iterator[str]:
    """All clusters side by side, as the dashboard shows them while `All` is selected."""
    rows = [[title, *(_cell(case.broken.top, title) for case in cases)] for title in top_row()]
    yield "## What the dashboard shows of all\n"
    yield table(["", *(case.breakage.cluster for case in cases)], rows) + "\n"
    yield "Where no replica is left, only their number is known: 0, in red. Each alert names its cluster:\n"
    fire = [(case.breakage.cluster, alert) for case in cases for alert in case.broken.alerts]
    yield (
        table(["cluster", "alert", "severity"], [[cluster, one.name, one.severity] for cluster, one in fire])
        + "\n"
    )


def _cell(values: Iterable[Shown], title: str) -> str:
    found = [one for one in values if one.panel == title]
    return ", ".join(dict.fromkeys(str(one) for one in found))


def _case(case: Case) -> Iterator[str]:
    breakage = case.breakage
    yield f"## {breakage.cluster}: {breakage.title}\n"
    yield f"{breakage.happened}\n"
    yield from _look(case.broken)
    yield f"{breakage.reading}\n"
    for number, one in enumerate(case.rounds):
        yield from _round(one, is_first=number == 0)
    if case.repaired is not None:
        yield from _end(case.repaired)


def _look(look: Look) -> Iterator[str]:
    yield "Alerts that fire:\n" if look.alerts else "No alert fires.\n"
    if look.alerts:
        yield "\n".join(_alert(alert) for alert in look.alerts) + "\n"
    yield "On the dashboard:\n"
    yield "```text\n" + "\n".join(_conspicuous(look)) + "\n```\n"


def _conspicuous(look: Look) -> Iterator[str]:
    """What is not as it should be; panels without data in one line, and of other panels what is not 0."""
    for one in (*look.top, *look.panels):
        named = f" ({one.name})" if one.name else ""
        if one.colour in {"orange", "red"} or (not one.colour and not re.match(r"0\b(?!\.)", one.value)):
            yield f"{one.panel}{named}: {one}"
    grey = [one.panel for one in look.top if one.colour == "grey"]
    if grey:
        yield f"{NO_DATA} (grey): {', '.join(grey)}"


def _alert(alert: Alert) -> str:
    runbook = alert.runbook.removeprefix("docs/run/")
    return f"- [{alert.name}]({runbook}), {alert.severity}: {alert.summary}"


def _round(one: Round, *, is_first: bool) -> Iterator[str]:
    yield "What `verify` prints:\n" if is_first else "And then:\n"
    yield f"```console\n$ {one.command}\n{one.printed.strip(chr(10))}\n```\n"
    if one.fix:
        yield f"Run, as printed:\n\n```sh\n{one.fix}\n```\n"


def _end(look: Look) -> Iterator[str]:
    red = [one for one in look.top if one.colour == "red" and one.panel != "Alerts firing"]
    assert not red, red
    left = ", ".join(f"{alert.name} ({alert.severity})" for alert in look.alerts)
    more = f" What still fires is for the record: {left}." if left else ""
    yield f"Then no alert asks for an action, and no panel is red.{more}\n"


_BLOCK = re.compile(r"^```(?:console|sh)$.*?^```$|^#.*?$", re.MULTILINE | re.DOTALL)
_VARYING = (re.compile(r"(?<=[a-z]-)[0-9a-f]{8,10}-[a-z0-9]{5}\b"), re.compile(r"\b\d+\b"))


def commands(text: str) -> list[str]:
    """The headings, the commands and what they print, without what differs from run to run: pods, and figures."""
    found = "\n".join(_BLOCK.findall(text))
    for pattern in _VARYING:
        found = pattern.sub("<n>", found)
    return found.splitlines()
