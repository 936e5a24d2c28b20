"""Each alert is one that Prometheus reads, that fires and does not fire as it should, and that says what to do."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from rig.tools import binary
from tests.alerts.rules import REPOSITORY, RULES, Rule, metrics_in, panels, queries, rules

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
DOCS = REPOSITORY / "docs"
EACH = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_prometheus_reads_the_rules() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_not_otherwise(case: Path) -> None:
    done = promtool("test", "rules", case)
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_each_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not(rule: Rule) -> None:
    stories = [test for case in CASES for test in yaml.safe_load(case.read_text())["tests"]]
    cases = [test["promql_expr_test"][0] for test in stories if test["name"].startswith(f"{rule.name}: ")]
    assert all(f'alertname="{rule.name}"' in check["expr"] for check in cases)
    assert {check["exp_samples"][0]["value"] for check in cases} == {0, 1}


@EACH
def test_each_alert_says_how_urgent_it_is_what_is_the_matter_and_what_to_do(rule: Rule) -> None:
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.annotations.keys() == {"summary", "description", "runbook_url"}
    page = REPOSITORY / rule.annotations["runbook_url"]
    assert page.parent == DOCS / "run" / "runbooks"
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    assert headings == [rule.name, "Meaning", "Look at", "Do"]
    row = rf"\| \[{rule.name}\]\(runbooks/{page.name}\) \| {rule.labels['severity']} \|"
    assert re.search(row, (DOCS / "run" / "alerts.md").read_text())


def test_no_runbook_is_about_an_alert_that_does_not_exist() -> None:
    linked = {REPOSITORY / rule.annotations["runbook_url"] for rule in rules()}
    assert set((DOCS / "run" / "runbooks").iterdir()) == linked


def test_the_dashboard_is_read_from_top_to_bottom_and_no_panel_covers_another() -> None:
    shown = panels()
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


def test_alerts_and_dashboard_name_only_metrics_that_the_page_describes() -> None:
    described = set(
        re.findall(r"^\| `(mxp_identity_\w+)` \|", (DOCS / "run" / "metrics.md").read_text(), re.MULTILINE)
    )
    expressions = [rule.expression for rule in rules()] + [query.expression for query in queries()]
    named = {name for expression in expressions for name in metrics_in(expression)}
    assert {name for name in named if name.startswith("mxp_identity_")} <= described
