"""What helm says to values: unknown ones, and ones that do not work together."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.chart import CHART, Helm, HelmError
from rig.chart.readme import README, current
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from tests.chart.charts import read, rendered, right

WRONG = yaml.safe_load((Path(__file__).parent / "wrong_combinations.yaml").read_text())
SCHEMA = yaml.safe_load((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["name"])
def test_a_wrong_combination_is_refused_with_a_sentence(case: dict[str, Any]) -> None:
    values = right(**case.get("values", {}))
    if "bindings" in case:
        values["bindings"] = [{**right()["bindings"][0], **changed} for changed in case["bindings"]]
    with pytest.raises(HelmError) as refused:
        rendered(values)
    assert case["says"] in str(refused.value)


def test_several_wrong_combinations_are_reported_at_once() -> None:
    with pytest.raises(HelmError) as refused:
        rendered(right(replicas=1, webhook={"failurePolicy": "Fail", "timeoutSeconds": 2}))
    assert "replicas is 1" in str(refused.value)
    assert "webhook.timeoutSeconds is 2" in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCount": 3},
        {"webhook": {"failurepolicy": "Fail"}},
        {"monitoring": {"serviceMonitor": {"enable": True}}},
        {"certificates": {"issuerRef": {"names": "ca"}}},
        {"podGate": "loud"},
        {"replicas": "2"},
        {"admission": {"trustBudget": "3"}},
        {"image": {"registry": "https://registry.example.com"}},
        {"image": {"registry": "registry.example.com/"}},
        {"server": {"host": "localhost"}},
        {"logLevel": "debug"},
        {"service": {"type": "NodePort"}},
        {"service": {"ipFamilies": ["IPv6", "IPv6"]}},
        {"serviceAccount": {"creat": False}},
        {"aws": {"caBundle": {"configMap": "ca"}}},
        {"aws": {"caBundle": {"name": "ca", "key": ""}}},
        {"networkPolicy": {"flavor": "calico"}},
        {"podDisruptionBudget": {"maxUnavailable": "one"}},
        {"extraVolumes": [{"emptyDir": {}}]},
        {"extraArgs": "--config"},
        {"monitoring": {"prometheusRule": {"runbookBaseUrl": "wiki"}}},
    ],
    ids=str,
)
def test_a_value_that_is_not_known_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications of the schema"):
        rendered(right(**values))


def test_the_schema_is_closed_but_for_what_kubernetes_defines() -> None:
    peers = {f".networkPolicy.{key}[]" for key in ("reviewsFrom", "metricsFrom", "extraEgress")}
    pods = {".resources", ".tolerations[]", ".affinity", ".topologySpreadConstraints[]", ".dnsConfig"}
    containers = {".extraEnv[]", ".envFrom[]", ".extraVolumes[]", ".extraVolumeMounts[]"}
    theirs = {*pods, *containers, ".global", *peers, ".monitoring.serviceMonitor.relabelings[]"}
    open_ones = {path for path, part in _objects(SCHEMA) if "additionalProperties" not in part}
    assert open_ones == theirs


def test_the_schema_knows_each_default() -> None:
    def keys(values: dict[str, Any], part: dict[str, Any]) -> None:
        for key, value in values.items():
            assert key in part["properties"], key
            if isinstance(value, dict) and "properties" in part["properties"][key]:
                keys(value, part["properties"][key])

    keys(read(CHART / "values.yaml"), SCHEMA)


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ({}, 0),
        ({"admission": {"onTrustFailure": "deny"}}, 1),
        ({"bindings": [{**right()["bindings"][0], "existingAnnotation": "deny"}]}, 1),
        ({"admission": {"onTrustFailure": "deny"}, "webhook": {"failurePolicy": "Fail"}}, 0),
        ({"admission": {"onTrustFailure": "deny"}, "observe": True}, 0),
    ],
)
def test_the_notes_say_when_a_deny_does_not_hold_without_a_replica(values: dict[str, Any], times: int) -> None:
    notes = Helm(PROGRAM, OWN_NAMESPACE).install(right(**values), "--dry-run=client")
    assert notes.count("holds only while a replica answers") == times


def test_each_default_has_a_comment() -> None:
    before, unexplained = "", []
    for line in (CHART / "values.yaml").read_text().splitlines():
        opens_section = line.endswith(":")
        if re.match(r" *\w+:", line) and not opens_section and not before.lstrip().startswith("#"):
            unexplained.append(line.strip())
        before = line
    assert unexplained == [
        "requests: {cpu: 100m, memory: 192Mi}",
        "limits: {memory: 256Mi}",
        'grafana_dashboard: "1"',
    ]


def test_the_packaged_readme_has_no_link_that_is_dead_without_the_repository() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README.read_text())
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_readme_has_the_table_of_the_values_as_they_are() -> None:
    assert README.read_text() == current(), "run `make chart`"


def _objects(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if part.get("type") == "object":
        yield path, part
    for name, inner in part.get("properties", {}).items():
        yield from _objects(inner, f"{path}.{name}")
    if isinstance(part.get("items"), dict):
        yield from _objects(part["items"], f"{path}[]")
