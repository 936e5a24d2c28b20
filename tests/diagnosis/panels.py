"""What the dashboard shows of a cluster: each panel's values as Prometheus answers its queries, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.alerts.rules import ALL, dashboard, queries

if TYPE_CHECKING:
    from rig.prometheus import Prometheus

MINUTES, DAYS = 120, 2 * 86400
"""Seconds from which a time is shown in minutes and in days."""


@dataclass(frozen=True)
class Shown:
    """One value of a panel, with its name in the legend; `colour` is empty in a panel without thresholds."""

    panel: str
    name: str
    value: str
    colour: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.colour})" if self.colour else self.value


NO_DATA = "no data"
LOOKS_BACK = "10m"
"""What rates are over: some of what is counted happened minutes before an alert fires."""


def top_row() -> list[str]:
    """The panels that are one number for each cluster."""
    return [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "stat"]


def shown(prometheus: Prometheus, cluster: str, title: str) -> list[Shown]:
    """What a panel shows while a cluster is selected; a grey one where there is no data."""
    (panel,) = [panel for panel in dashboard()["panels"] if panel["title"] == title]
    asked = [
        query.expression for query in queries(LOOKS_BACK, {**ALL, "cluster": cluster}) if query.panel == title
    ]
    found = [
        _shown(panel, target["legendFormat"], labels, value)
        for target, expression in zip(panel["targets"], asked, strict=True)
        for labels, value in sorted(prometheus.query(expression), key=str)
    ]
    return found or [Shown(title, "", NO_DATA, "grey" if panel["type"] == "stat" else "")]


def _shown(panel: dict[str, Any], legend: str, labels: dict[str, str], value: float) -> Shown:
    name = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)
    defaults = panel["fieldConfig"]["defaults"]
    drawn = {"stat", "bargauge"}
    colour = _colour(defaults["thresholds"]["steps"], value) if panel["type"] in drawn else ""
    return Shown(panel["title"], " ".join(name.split()), _with_unit(defaults, value), colour)


def _colour(steps: list[dict[str, Any]], value: float) -> str:
    """The last step that the value has reached; the first has no limit."""
    return str([step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1])


def _with_unit(defaults: dict[str, Any], value: float) -> str:
    for mapping in defaults.get("mappings", ()):
        if text := mapping["options"].get(f"{value:g}"):
            return str(text["text"])
    match defaults["unit"]:
        case "s":
            return _time(value)
        case "percentunit":
            return f"{value:.0%}"
        case "none":
            return f"{value:g}"
        case _:
            return f"{value:.2g} a second"


def _time(seconds: float) -> str:
    if seconds >= DAYS:
        return f"{seconds / 86400:.0f} days"
    return f"{seconds / 60:.0f} min" if seconds >= MINUTES else f"{seconds:.0f} s"
