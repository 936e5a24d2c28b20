"""What platform teams set in all their charts: each such value has the effect that its name says, and no other."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.chart import CHART, render
from rig.kubernetes.registration import OWN_NAMESPACE
from tests.chart.charts import CI_VALUES, configuration, only, read, rendered, right
from webhook.cli.suggested_commands import PROGRAM_LABEL

EVERY = pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
CONVENTIONS = yaml.safe_load((Path(__file__).parent / "conventions.yaml").read_text())
RELEASE = "mxp"
FULLNAME = "mxp-mxp-identity-webhook"
IN_NAMESPACES = {"ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "Role", "RoleBinding"}
CHART_LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "mxp-identity/component",
}


@functools.cache
def _default() -> list[dict[str, Any]]:
    return rendered(right())


def _found(objects: list[dict[str, Any]], case: dict[str, Any]) -> Any:
    """What a case's path leads to; None where it leads nowhere."""
    if case.get("configuration"):
        here: Any = yaml.safe_load(configuration(objects))
    else:
        here = next((item for item in objects if item["kind"] == case["kind"]), None)
    for step in case["at"]:
        if here is None:
            return None
        if isinstance(step, dict):
            here = next((item for item in here if step.items() <= item.items()), None)
        elif isinstance(step, int):
            here = here[step] if step < len(here) else None
        else:
            here = here.get(step)
    return here


@pytest.mark.parametrize("case", CONVENTIONS, ids=lambda case: case["name"])
def test_a_value_has_its_effect_and_without_it_there_is_none(case: dict[str, Any]) -> None:
    assert _found(rendered(right(**case["values"])), case) == case["is"]
    assert _found(_default(), case) == case.get("default")


@EVERY
def test_common_labels_are_on_every_object_and_pod_and_change_no_selector(path: Path) -> None:
    values = read(path)
    plain = rendered({**values, "commonLabels": {}, "podLabels": {}, "extraObjects": []})
    labels = {"team": "platform", "app.kubernetes.io/part-of": "spaces"}
    labelled = rendered({**values, "commonLabels": labels, "podLabels": {}, "extraObjects": []})
    for item in labelled:
        assert labels.items() <= item["metadata"]["labels"].items(), item["kind"]
    template = only(labelled, "Deployment")["spec"]["template"]["metadata"]
    assert labels.items() <= template["labels"].items()
    assert [item.get("spec", {}).get("selector") for item in labelled] == [
        item.get("spec", {}).get("selector") for item in plain
    ]
    assert {key for item in plain for key in item["metadata"]["labels"]} >= CHART_LABELS


def test_a_label_of_one_kind_of_object_counts_before_a_common_one() -> None:
    values = read(CHART / "ci" / "conventions-values.yaml")
    pods = only(rendered(values), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert (values["commonLabels"]["team"], values["podLabels"]["team"], pods["team"]) == (
        "platform",
        "spaces",
        "spaces",
    )


@EVERY
def test_the_rights_are_those_of_the_service_account_that_the_pods_run_as(path: Path) -> None:
    values = read(path)
    objects = rendered(values)
    name = only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    subjects = [one for item in objects if item["kind"].endswith("RoleBinding") for one in item["subjects"]]
    assert {(one["name"], one["namespace"]) for one in subjects} == {(name, OWN_NAMESPACE)}
    made = [item for item in objects if item["kind"] == "ServiceAccount" and item["metadata"]["name"] == name]
    assert bool(made) is values.get("serviceAccount", {}).get("create", True)


def test_the_commands_find_the_program_whatever_nameoverride_is() -> None:
    key, _, value = PROGRAM_LABEL.partition("=")
    objects = rendered(right(nameOverride="other"))
    deployment = only(objects, "Deployment")
    found = [only(objects, "ConfigMap"), deployment, deployment["spec"]["template"]]
    assert [item["metadata"]["labels"][key] for item in found] == 3 * [value]
    assert key not in deployment["spec"]["selector"]["matchLabels"], "an upgrade could not change it"


@pytest.mark.parametrize(
    ("values", "fullname"),
    [
        ({}, FULLNAME),
        ({"fullnameOverride": "identity"}, "identity"),
        ({"nameOverride": "identity"}, "mxp-identity"),
    ],
    ids=["the release's name", "fullnameOverride", "nameOverride"],
)
def test_a_release_with_a_name_of_its_own_names_its_objects_alike(values: dict[str, Any], fullname: str) -> None:
    objects = render(right(**values), RELEASE, "platform")
    names = {item["metadata"]["name"] for item in objects}
    rest = {name.removeprefix(fullname) for name in names}
    assert rest == {"", "-tls", "-pod-gate", "-pods-0", "-refused-pods-0", "-test"}
    file = yaml.safe_load(configuration(objects))
    assert (file["namespace"], file["installation"]) == ("platform", "platform")
    own = file["certificates"]
    assert (own["service"], own["webhookConfiguration"]) == (fullname, fullname)
    assert own["secret"] == only(objects, "Secret")["metadata"]["name"]
    (entry,) = only(objects, "MutatingWebhookConfiguration")["webhooks"]
    assert (entry["clientConfig"]["service"]["name"], entry["clientConfig"]["service"]["namespace"]) == (
        fullname,
        "platform",
    )
    spec = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == fullname
    assert {item["metadata"]["namespace"] for item in objects if item["kind"] in IN_NAMESPACES} == {"platform"}
    (container,) = only(objects, "Pod")["spec"]["containers"]
    assert f'"{fullname.upper().replace("-", "_")}_SERVICE_HOST"' in container["args"][0]


def test_the_agent_of_pod_identity_is_reached_by_both_families() -> None:
    policy = only(rendered(right(networkPolicy={"enabled": True})), "NetworkPolicy")
    (rule,) = [rule for rule in policy["spec"]["egress"] if {"port": 80, "protocol": "TCP"} in rule["ports"]]
    assert [peer["ipBlock"]["cidr"] for peer in rule["to"]] == ["169.254.170.23/32", "fd00:ec2::23/128"]


@pytest.mark.parametrize(
    "values",
    [{"replicas": 1}, {"podDisruptionBudget": {"enabled": False}}],
    ids=["one replica", "switched off"],
)
def test_nothing_holds_the_drain_of_a_node_where_no_budget_is_wanted(values: dict[str, Any]) -> None:
    assert "PodDisruptionBudget" not in {item["kind"] for item in rendered(right(**values))}


@pytest.mark.parametrize("host", ["10.0.0.7", "fd00:10::7"])
def test_the_pod_of_the_test_asks_a_service_of_either_family(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (container,) = only(_default(), "Pod")["spec"]["containers"]
    asked: list[str] = []

    class Answer:
        def read(self) -> bytes:
            return b"ready"

    def urlopen(url: str, **_: Any) -> Answer:
        asked.append(url)
        return Answer()

    monkeypatch.setenv("MXP_IDENTITY_WEBHOOK_SERVICE_HOST", host)
    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    exec(container["args"][0], {})
    shown = f"[{host}]" if ":" in host else host
    assert asked == [f"http://{shown}:9090/readyz", f"https://{shown}/mutate"]
    assert "it answers over TLS" in capsys.readouterr().out
