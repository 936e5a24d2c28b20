"""Clusters are broken, and repaired with nothing but the dashboard, the alerts and what `verify` prints."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rig.prometheus import Prometheus
from rig.waiting import eventually
from tests.alerts.rules import RULES
from tests.diagnosis.breakages import Breakage, breakages
from tests.diagnosis.panels import Shown, shown, top_row
from tests.diagnosis.place import Place
from tests.guides.stage import stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.guides.stage import Stage

SCRAPED_EVERY_S = 5
FIRES_WITHIN_S = 900.0
"""The longest `for` of an alert here, and what must come before it."""

ENDS_WITHIN_S = 1200.0
"""Alerts that count look back a quarter of an hour at most."""

MOST_ROUNDS = 6
"""Each runs one command: the program repairs more by itself once it can."""

ANSWERED_WITHIN_S = 180.0
"""From a repair to what `verify` says then: a pass, with time to spare."""

LOOKED_AT_EVERY_S = 5.0


@dataclass(frozen=True)
class Alert:
    """One that fires, as a person is paged with it."""

    name: str
    severity: str
    summary: str
    runbook: str

    @classmethod
    def of(cls, alert: dict[str, Any]) -> Alert:
        labels, annotations = alert["labels"], alert["annotations"]
        return cls(labels["alertname"], labels["severity"], annotations["summary"], annotations["runbook_url"])


@dataclass(frozen=True)
class Round:
    """What `verify` printed, and the first command of it, which was run then; empty at the end."""

    command: str
    printed: str
    fix: str


@dataclass(frozen=True)
class Look:
    """What is seen of a cluster at one moment, without the program's help."""

    alerts: tuple[Alert, ...]
    top: tuple[Shown, ...]
    panels: tuple[Shown, ...]


@dataclass
class Case:
    """A cluster from the breakage to the end."""

    breakage: Breakage
    broken: Look
    rounds: list[Round] = field(default_factory=list)
    repaired: Look | None = None


def investigate(folder: Path) -> list[Case]:
    """Break clusters, all at once, then find and repair them one after another."""
    every = breakages()
    with _clusters(folder, every) as running:
        places = [Place(running, breakage.cluster, breakage.asked) for breakage in every]
        for place in places:
            place.install()
            place.site.spaces.add("orders")
        scraped = [place.scraped for place in places]
        workspace = places[0].site.cluster.workspace
        prometheus = Prometheus(workspace, RULES, *scraped, interval=SCRAPED_EVERY_S)
        passed = "count(mxp_identity_pass_last_success_timestamp_seconds > 0) or vector(0)"
        replicas = sum(len(one.webhooks) for one in scraped)
        eventually(lambda: prometheus.query(passed)[0][1] == replicas, "passes", timeout=180, longest_pause=1)
        for breakage, place in zip(every, places, strict=True):
            breakage.befall(place)
        prometheus.scrape(*(place.scraped for place in places))
        cases = [_found(prometheus, breakage) for breakage in every]
        for case, place in zip(cases, places, strict=True):
            case.rounds.extend(_repair(place))
        prometheus.scrape(*(place.scraped for place in places))
        for case in cases:
            case.repaired = _ended(prometheus, case.breakage)
    return cases


@contextmanager
def _clusters(folder: Path, every: Sequence[Breakage]) -> Iterator[Stage]:
    """One account, and a cluster for each breakage."""
    clusters = {
        breakage.cluster: {name: _host(number, control_plane) for control_plane, name in enumerate(NAMES)}
        for number, breakage in enumerate(every, 1)
    }
    with stage(folder, clusters) as running:
        yield running


NAMES = ("orders", "billing", "payments")
"""Control planes of each cluster."""


def _host(cluster: int, control_plane: int) -> str:
    return f"mxp-{cluster:08x}-0000-4000-8000-{control_plane:012x}-system"


def _firing(prometheus: Prometheus, cluster: str) -> tuple[Alert, ...]:
    fire = [Alert.of(one) for one in prometheus.firing() if one["labels"].get("cluster") == cluster]
    return tuple(sorted(set(fire), key=lambda alert: (alert.severity, alert.name)))


def _look(prometheus: Prometheus, breakage: Breakage) -> Look:
    def at(titles: Sequence[str]) -> tuple[Shown, ...]:
        return tuple(one for title in titles for one in shown(prometheus, breakage.cluster, title))

    return Look(_firing(prometheus, breakage.cluster), at(top_row()), at(breakage.panels))


def _found(prometheus: Prometheus, breakage: Breakage) -> Case:
    """What is seen once all that is to fire fires."""

    def fire() -> bool:
        return {*breakage.alerts} <= {alert.name for alert in _firing(prometheus, breakage.cluster)}

    what = f"{', '.join(breakage.alerts)} in {breakage.cluster}"
    eventually(fire, what, timeout=FIRES_WITHIN_S, longest_pause=LOOKED_AT_EVERY_S)
    return Case(breakage, _look(prometheus, breakage))


def _repair(place: Place) -> Iterator[Round]:
    """Run what `verify` prints until it finds nothing."""
    for _ in range(MOST_ROUNDS):
        said, fixes = place.verify(), place.fixes()
        yield Round(place.command, said.out, fixes[0] if fixes else "")
        if not said.code:
            return
        assert fixes, f"{place.name}: no command is printed\n{said.out}"
        ran = place.stage.run(fixes[0])
        assert ran.code in {0, 4}, f"{fixes[0]}\n{ran.out}{ran.err}"
        place.site.settle()
        _wait_for_change(place, fixes)
    raise AssertionError(f"{place.name} is not repaired by what is printed")


def _wait_for_change(place: Place, before: list[str]) -> None:
    """Wait until `verify` finds something else, twice: what the program is about to do is no finding."""
    last = before

    def is_changed() -> bool:
        nonlocal last
        said_before, last = last, place.fixes()
        return before != last == said_before

    eventually(
        is_changed, f"{place.name}: another finding", timeout=ANSWERED_WITHIN_S, longest_pause=LOOKED_AT_EVERY_S
    )


def _ended(prometheus: Prometheus, breakage: Breakage) -> Look:
    """What is seen once nothing fires that asks for an action."""

    def is_quiet() -> bool:
        return {alert.severity for alert in _firing(prometheus, breakage.cluster)} <= {"info"}

    eventually(is_quiet, f"{breakage.cluster} is quiet", timeout=ENDS_WITHIN_S, longest_pause=LOOKED_AT_EVERY_S)
    return _look(prometheus, breakage)
