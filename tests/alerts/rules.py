"""The alerts and the dashboard of the chart, as the tests look at them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
FILES = REPOSITORY / "charts" / "mxp-identity-webhook" / "files"
RULES = FILES / "alerts.yaml"
DASHBOARD = FILES / "dashboard.json"
_METRIC = re.compile(r"\b(?:mxp_identity|apiserver|process)_\w+")


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


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels in order, rows too."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries(rate_interval: str = "1m") -> list[Query]:
    """The dashboard's queries, with Grafana's own variable replaced."""
    return [
        Query(panel["title"], target["expr"].replace("$__rate_interval", rate_interval))
        for panel in panels()
        for target in panel.get("targets", ())
    ]


def metrics_in(expression: str) -> set[str]:
    """The metrics of ours, of the API server and of the process that an expression names, without suffixes."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in _METRIC.findall(expression)}
