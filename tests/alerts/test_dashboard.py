"""The dashboard: Grafana's rules for one, what it shows where nothing is left, and where its links lead."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.linter import RULES, Finding, lint
from tests.alerts.promtool import promtool
from tests.alerts.rules import REPOSITORY, dashboard, queries
from tests.chart.charts import rendered, right

Json = dict[str, Any]

ONE_LABEL = ("target-job-rule", "target-instance-rule", "target-required-matchers-rule")
EXCEPTIONS = {
    ("ALERTS", ONE_LABEL): "an alert is about all replicas, and one on the API server about no installation",
    (
        "apiserver_",
        ONE_LABEL,
    ): "the API server is scraped by a job of its own; its series have the cluster's label",
}
"""Metrics that a rule does not fit, with the reason."""


def test_the_rules_of_grafanas_linter_find_nothing_but_what_is_explained() -> None:
    found = lint(dashboard())
    assert [one for one in found if not any(_explains(exception, one) for exception in EXCEPTIONS)] == []
    for metric, named in EXCEPTIONS:
        assert {one.rule for one in found if _explains((metric, named), one)} == set(named), "no longer needed"


def _explains(exception: tuple[str, tuple[str, ...]], finding: Finding) -> bool:
    metric, named = exception
    return finding.rule in named and finding.why.startswith(metric) and "cluster" not in finding.why


def _panel(board: Json, title: str = "Grants pending") -> Json:
    found: Json = next(panel for panel in board["panels"] if panel["title"] == title)
    return found


def _variable(board: Json, name: str) -> Json:
    found: Json = next(one for one in board["templating"]["list"] if one["name"] == name)
    return found


def _ask(expression: str) -> Callable[[Json], object]:
    return lambda board: _panel(board)["targets"][0].update(expr=expression)


SELECTED = '{cluster=~"$cluster",job=~"$job",namespace=~"$namespace",instance=~"$instance"}'
SPOILT: dict[str, Callable[[Json], object]] = {
    "template-datasource-rule": lambda board: _variable(board, "datasource").update(label="Prometheus"),
    "template-job-rule": lambda board: _variable(board, "job").update(allValue=".*"),
    "template-instance-rule": lambda board: _variable(board, "instance").update(multi=False),
    "template-required-variables-rule": lambda board: board["templating"]["list"].remove(
        _variable(board, "cluster")
    ),
    "template-label-promql-rule": lambda board: _variable(board, "job").update(query="labels(up{, job)"),
    "template-on-time-change-reload-rule": lambda board: _variable(board, "job").update(refresh=1),
    "panel-datasource-rule": lambda board: _panel(board)["targets"][0]["datasource"].update(uid="prometheus-1"),
    "panel-title-description-rule": lambda board: _panel(board).pop("description"),
    "panel-units-rule": lambda board: _panel(board)["fieldConfig"]["defaults"].pop("unit"),
    "panel-no-targets-rule": lambda board: _panel(board)["targets"].clear(),
    "target-promql-rule": _ask("max("),
    "target-rate-interval-rule": _ask(f"rate(mxp_identity_trust_writes_total{SELECTED}[5m])"),
    "target-counter-agg-rule": _ask(f"max(mxp_identity_trust_writes_total{SELECTED})"),
    "target-job-rule": _ask("max(up" + SELECTED.replace('job=~"$job",', "") + ")"),
    "target-instance-rule": _ask("max(up" + SELECTED.replace("$instance", "a") + ")"),
    "target-required-matchers-rule": _ask("max(up" + SELECTED.replace("cluster=~", "cluster=") + ")"),
    "uneditable-dashboard": lambda board: board.update(editable=True),
}


def test_each_rule_of_the_linter_has_a_dashboard_that_breaks_it() -> None:
    assert SPOILT.keys() == RULES.keys()


@pytest.mark.parametrize("rule", SPOILT)
def test_a_dashboard_that_breaks_a_rule_is_found(rule: str) -> None:
    board, before = dashboard(), {*lint(dashboard())}
    SPOILT[rule](board)
    assert {one.rule for one in set(lint(board)) - before} == {rule}


def test_it_is_read_from_top_to_bottom_and_no_panel_covers_another() -> None:
    shown = dashboard()["panels"]
    rows = [panel["title"] for panel in shown if panel["type"] == "row"]
    assert rows == ["Is it working?", "How full?", "How fast?", "What failed?"]
    places = [panel["gridPos"] for panel in shown]
    assert places == sorted(places, key=lambda place: (place["y"], place["x"]))
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24)), "Grafana's grid has 24 columns"
    assert len({panel["id"] for panel in shown}) == len(shown)


def test_each_number_and_bar_has_the_colours_of_good_and_bad() -> None:
    for panel in dashboard()["panels"]:
        if panel["type"] in {"stat", "bargauge"}:
            colours = {step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
            assert "green" in colours, panel["title"]
            assert colours & {"orange", "red"}, panel["title"]


def test_each_runbook_is_linked_from_the_panel_that_shows_its_matter() -> None:
    board = dashboard()
    links = [link["url"] for panel in board["panels"] for link in panel.get("links", ())]
    pages = {page.name for page in (REPOSITORY / "docs" / "run" / "runbooks").iterdir()}
    assert {url.removeprefix("${runbooks}/") for url in links} == pages
    assert _variable(board, "runbooks")["type"] == "constant"


@pytest.mark.parametrize(
    ("url", "base"), [("https://wiki.example.com/books/", "https://wiki.example.com/books"), ("", "")]
)
def test_the_chart_has_links_lead_to_the_runbooks_of_its_user_or_nowhere(url: str, base: str) -> None:
    monitoring = {"dashboard": {"enabled": True}, "prometheusRule": {"runbookBaseUrl": url}}
    (found,) = [item for item in rendered(right(monitoring=monitoring)) if "dashboard" in item["metadata"]["name"]]
    (text,) = found["data"].values()
    board, plain = json.loads(text), dashboard()
    if base:
        runbooks = _variable(board, "runbooks")
        assert (runbooks["query"], runbooks["current"]["value"]) == (base, base)
        runbooks.update(_variable(plain, "runbooks"))
    else:
        for panel in plain["panels"]:
            panel.pop("links", None)
    assert board == plain


A, B = (f'{{cluster="{cluster}",namespace="mxp-identity"}}' for cluster in "ab")


def _series(metric: str, labels: str, instance: int, values: str) -> Json:
    more = f',job="mxp",instance="{instance}"}}'
    return {"series": f"mxp_identity_{metric}{labels.removesuffix('}')}{more}", "values": values}


REPLICAS = [
    _series("build_info", A, 1, "1x20"),
    _series("build_info", A, 2, "1x20"),
    _series("build_info", B, 3, "1x5 stale"),
    _series("build_info", B, 4, "1x8 stale"),
]
PENDING = [_series("grants_pending", A, 1, "0x20"), _series("grants_pending", B, 1, "3x20")]
SHOWN: list[tuple[str, str, list[Json], dict[str, str], dict[str, float]]] = [
    ("one of two clusters is gone", "Replicas scraped", REPLICAS, {}, {A: 2, B: 0}),
    ("one cluster is selected, and it is gone", "Replicas scraped", REPLICAS, {"cluster": "b"}, {B: 0}),
    ("nothing was ever scraped", "Replicas scraped", [], {}, {"{}": 0}),
    ("no alert fires", "Alerts firing", [], {}, {"{}": 0}),
    ("the cluster with pending grants is seen", "Grants pending", PENDING, {}, {A: 0, B: 3}),
    ("the other is selected", "Grants pending", PENDING, {"cluster": "a"}, {A: 0}),
    ("no call failed", "Failed calls to AWS", [], {}, {"{}": 0}),
    ("no call of the API server failed", "Calls that the API server could not make", [], {}, {"{}": 0}),
    (
        "metrics of one cluster without such a label",
        "Replicas scraped",
        [{"series": 'mxp_identity_build_info{job="mxp",instance="1"}', "values": "1x20"}],
        {},
        {"{}": 1},
    ),
]
"""A story, a panel, series, what is selected, and what its query answers; a value of 0 of Replicas is red."""


def test_the_panels_show_what_is_gone_and_which_cluster(tmp_path: Path) -> None:
    """promtool evaluates the queries."""
    told = []
    for story, panel, series, selected, samples in SHOWN:
        chosen = queries(selected={"cluster": ".*", "job": ".+", "namespace": ".*", "instance": ".+", **selected})
        (query, *_) = [one for one in chosen if one.panel == panel]
        check = {
            "expr": query.expression,
            "eval_time": "15m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        told.append({"name": story, "interval": "1m", "input_series": series, "promql_expr_test": [check]})
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": told}))
    promtool("test", "rules", file)


def test_no_replica_is_red_and_two_are_green() -> None:
    (panel,) = [panel for panel in dashboard()["panels"] if panel["title"] == "Replicas scraped"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in steps] == [("red", None), ("orange", 1), ("green", 2)]


def test_the_json_is_laid_out_so_that_a_change_shows_its_lines() -> None:
    file = REPOSITORY / "charts" / "mxp-identity-webhook" / "files" / "dashboard.json"
    assert file.read_text() == json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
