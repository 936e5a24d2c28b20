"""The alerts and the dashboard of the chart, as the tests look at them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.alerts.promql import selectors

REPOSITORY = Path(__file__).parents[2]
FILES = REPOSITORY / "charts" / "mxp-identity-webhook" / "files"
RULES = FILES / "alerts.yaml"
DASHBOARD = FILES / "dashboard.json"
ALL = {"cluster": ".*", "job": ".+", "namespace": ".*", "instance": ".+"}
"""What Grafana puts in place of the dashboard's variables while `All` is selected."""


@dataclass(frozen=True)
class Rule:
    """One alert."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Query:
    """One query of the dashboard, ready for Prometheus, with its panel's title."""

    panel: str
    expression: str


def rules() -> list[Rule]:
    """The alerts in order."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    return [Rule(rule["alert"], rule["expr"], rule["labels"], rule["annotations"]) for rule in found]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries(rate_interval: str = "1m", selected: Mapping[str, str] = ALL) -> list[Query]:
    """The dashboard's queries, with the variables replaced as Grafana does it."""

    def replaced(expression: str) -> str:
        expression = expression.replace("$__rate_interval", rate_interval)
        return re.sub(r"\$(cluster|job|namespace|instance)\b", lambda found: selected[found[1]], expression)

    return [
        Query(panel["title"], replaced(target["expr"]))
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]


def metrics_in(expression: str) -> Iterator[str]:
    """The metrics that an expression reads, without the suffixes of histograms."""
    for selector in selectors(expression):
        yield re.sub(r"_(bucket|count|sum)$", "", selector.metric)
