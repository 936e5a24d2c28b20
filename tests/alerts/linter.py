"""The rules of Grafana's dashboard linter (grafana/dashboard-linter), each by its name there, for Prometheus.

Its rules for Loki do not apply. `target-required-matchers-rule` and `template-required-variables-rule` are set to
the cluster and the namespace.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from promql_parser import parse_duration

from tests.alerts.promql import RATE_INTERVAL, nodes, selectors

Json = dict[str, Any]

DRAWN = {"bargauge", "gauge", "graph", "singlestat", "stat", "state-timeline", "table", "timeseries"}
"""Types of panels that show queries."""

UNITS = {"bool", "bool_yes_no", "bytes", "none", "ops", "percent", "percentunit", "reqps", "s", "short", "wps"}
"""Those of Grafana's that are used here."""

SOURCES = {"$datasource", "${datasource}"}
FUNCTIONS_OF_VARIABLES = {"label_names", "label_values", "metrics", "query_result"}


@dataclass(frozen=True)
class Finding:
    """Where a dashboard breaks a rule; `panel` is empty where it is about the dashboard."""

    rule: str
    panel: str
    why: str


Rule = Callable[[Json], Iterator[tuple[str, str]]]
"""Answers the panel's title and what is wrong, for each place where a dashboard breaks it."""

RULES: dict[str, Rule] = {}


def lint(dashboard: Json) -> list[Finding]:
    """Every finding of every rule."""
    return [Finding(name, *found) for name, rule in RULES.items() for found in rule(dashboard)]


def _rule(name: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES[name] = rule
        return rule

    return register


def panels(dashboard: Json) -> list[Json]:
    """The panels that show queries."""
    return [panel for panel in dashboard["panels"] if panel["type"] in DRAWN]


def _targets(dashboard: Json) -> Iterator[tuple[str, str]]:
    """The title of the panel and the expression of each query."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield panel.get("title", ""), target.get("expr", "")


def _read(dashboard: Json) -> Iterator[tuple[str, str]]:
    """The same, without what is no PromQL: that is another rule's."""
    for title, expression in _targets(dashboard):
        if not _is_wrong(expression):
            yield title, expression


def _is_wrong(expression: str) -> str:
    try:
        nodes(expression)
    except ValueError as error:
        return str(error)
    return ""


def _variables(dashboard: Json, kind: str) -> list[Json]:
    return [one for one in dashboard["templating"]["list"] if one["type"] == kind]


@_rule("template-datasource-rule")
def _has_a_data_source(dashboard: Json) -> Iterator[tuple[str, str]]:
    found = [(one["name"], one.get("label")) for one in _variables(dashboard, "datasource")]
    if found not in ([("datasource", "Data source")], [("prometheus_datasource", "Prometheus data source")]):
        yield "", f"the data source is {found}"


def _has_variable(name: str, *, always_set: bool) -> Rule:
    """A variable of a label; of one that a metric may lack, `All` must match the metric too."""

    def rule(dashboard: Json) -> Iterator[tuple[str, str]]:
        wanted = {
            "label": name.title(),
            "type": "query",
            "multi": True,
            "includeAll": True,
            "allValue": ".+" if always_set else ".*",
        }
        found: Json = next((one for one in dashboard["templating"]["list"] if one["name"] == name), {})
        yield from (
            ("", f"{name}: {key} is not {value}") for key, value in wanted.items() if found.get(key) != value
        )
        if found.get("datasource", {}).get("uid") not in SOURCES:
            yield "", f"{name}: does not use the variable data source"

    return rule


RULES["template-job-rule"] = _has_variable("job", always_set=True)
RULES["template-instance-rule"] = _has_variable("instance", always_set=True)


@_rule("template-required-variables-rule")
def _has_required_variables(dashboard: Json) -> Iterator[tuple[str, str]]:
    for name in ("cluster", "namespace"):
        yield from _has_variable(name, always_set=False)(dashboard)


@_rule("template-label-promql-rule")
def _variables_are_asked_for(dashboard: Json) -> Iterator[tuple[str, str]]:
    for variable in _variables(dashboard, "query"):
        call = re.fullmatch(r"(\w+)\((.+?)(?:, (\w+))?\)", variable["query"])
        if call is None or call[1] not in FUNCTIONS_OF_VARIABLES or _is_wrong(call[2]):
            yield "", f"{variable['name']}: {variable['query']}"


@_rule("template-on-time-change-reload-rule")
def _variables_follow_the_time_range(dashboard: Json) -> Iterator[tuple[str, str]]:
    yield from (("", one["name"]) for one in _variables(dashboard, "query") if one.get("refresh") != 2)


@_rule("panel-datasource-rule")
def _panels_use_the_data_source(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        for part in (panel, *panel.get("targets", ())):
            if part.get("datasource", {}).get("uid") not in SOURCES:
                yield panel["title"], "does not use the variable data source"


@_rule("panel-title-description-rule")
def _panels_say_what_they_show(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "lacks a title or a description"


@_rule("panel-units-rule")
def _panels_have_units(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield panel["title"], f"the unit is {unit}"


@_rule("panel-no-targets-rule")
def _panels_have_queries(dashboard: Json) -> Iterator[tuple[str, str]]:
    yield from ((panel["title"], "has no query") for panel in panels(dashboard) if not panel.get("targets"))


@_rule("target-promql-rule")
def _queries_can_be_read(dashboard: Json) -> Iterator[tuple[str, str]]:
    for title, expression in _targets(dashboard):
        if why := _is_wrong(expression):
            yield title, why


@_rule("target-rate-interval-rule")
def _rates_use_the_rate_interval(dashboard: Json) -> Iterator[tuple[str, str]]:
    interval = parse_duration(RATE_INTERVAL).total_seconds()
    for title, expression in _read(dashboard):
        for one in selectors(expression):
            if one.function in {"irate", "rate", "increase"} and one.seconds != interval:
                yield title, f"{one.function} of {one.metric} over {one.seconds:g} s"


@_rule("target-counter-agg-rule")
def _counters_are_rates(dashboard: Json) -> Iterator[tuple[str, str]]:
    for title, expression in _read(dashboard):
        for one in selectors(expression):
            if one.metric.endswith("_total") and one.function not in {"irate", "rate", "increase"}:
                yield title, f"{one.metric} is a counter"


def _matches(*labels: str) -> Rule:
    def rule(dashboard: Json) -> Iterator[tuple[str, str]]:
        for title, expression in _read(dashboard):
            for one in selectors(expression):
                missing = [label for label in labels if f'{label}=~"${label}"' not in one.matchers]
                if missing:
                    yield title, f"{one.metric} has no matcher of {', '.join(missing)}"

    return rule


RULES["target-job-rule"] = _matches("job")
RULES["target-instance-rule"] = _matches("instance")
RULES["target-required-matchers-rule"] = _matches("cluster", "namespace")


@_rule("uneditable-dashboard")
def _is_not_edited_by_hand(dashboard: Json) -> Iterator[tuple[str, str]]:
    if dashboard.get("editable") is not False:
        yield "", "is editable"
