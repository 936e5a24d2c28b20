"""Each alert is one that Prometheus reads, that fires and does not fire as it should, and that says what to do."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promql import selectors
from tests.alerts.promtool import promtool
from tests.alerts.rules import REPOSITORY, RULES, Rule, metrics_in, queries, rules

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
DOCS = REPOSITORY / "docs"
EACH = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)

Story = dict[str, Any]


@functools.cache
def stories() -> list[Story]:
    return [test for case in CASES for test in yaml.safe_load(case.read_text())["tests"]]


def test_prometheus_reads_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    promtool("test", "rules", *CASES)


def test_each_alert_names_the_cluster_and_the_installation_that_it_is_about(tmp_path: Path) -> None:
    """Each story in which an alert fires is told again, in one of several clusters."""
    told = [_in_cluster(story) for story in stories() if _fires(story) and _has_no_cluster(story)]
    names = {story["promql_expr_test"][0]["expr"].split('"')[1] for story in told}
    assert names == {rule.name for rule in rules()}
    file = tmp_path / "clusters.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": told}))
    promtool("test", "rules", file)


def _fires(story: Story) -> bool:
    return bool(story["promql_expr_test"][0]["exp_samples"][0]["value"])


def _has_no_cluster(story: Story) -> bool:
    return "input_series" in story and "cluster=" not in str(story)


def _in_cluster(story: Story) -> Story:
    """The same with labels on each series, and the alert must have them."""
    (check,) = story["promql_expr_test"]
    of_api_server = story["input_series"][0]["series"].startswith("apiserver_")
    labels = 'cluster="a"' if of_api_server else 'cluster="a",namespace="mxp-identity"'
    firing = 'alertstate="firing"'
    return {
        **story,
        "input_series": [{**one, "series": _labelled(one["series"], labels)} for one in story["input_series"]],
        "promql_expr_test": [{**check, "expr": check["expr"].replace(firing, f"{firing},{labels}")}],
    }


def _labelled(series: str, labels: str) -> str:
    name, _, rest = series.removesuffix("}").partition("{")
    return f"{name}{{{labels},{rest}}}" if rest else f"{name}{{{labels}}}"


@EACH
def test_each_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not(rule: Rule) -> None:
    cases = [story["promql_expr_test"][0] for story in stories() if story["name"].startswith(f"{rule.name}: ")]
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


def test_alerts_and_dashboard_name_only_metrics_that_the_page_describes() -> None:
    described = set(
        re.findall(r"^\| `(mxp_identity_\w+)` \|", (DOCS / "run" / "metrics.md").read_text(), re.MULTILINE)
    )
    expressions = [rule.expression for rule in rules()] + [query.expression for query in queries()]
    named = {name for expression in expressions for name in metrics_in(expression)}
    assert {name for name in named if name.startswith("mxp_identity_")} <= described


def test_the_alert_on_failed_calls_and_the_dashboard_exclude_the_same_answers() -> None:
    metric = "mxp_identity_aws_request_duration_seconds_count"

    def excluded(expressions: list[str]) -> set[frozenset[str]]:
        found = (one for text in expressions for one in selectors(text) if one.metric == metric)
        answers = (
            frozenset(each for each in one.matchers if each.startswith(("code", "operation"))) for one in found
        )
        return {each for each in answers if each}

    (alert,) = [rule.expression for rule in rules() if rule.name == "MxpIdentityAwsErrors"]
    assert excluded([alert]) == excluded([query.expression for query in queries()])
    assert len(excluded([alert])) == 2
