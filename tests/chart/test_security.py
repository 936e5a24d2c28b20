"""What the chart gives the program: no more than its source of certificates needs, and never its node's role."""

import re
from pathlib import Path
from typing import Any

import pytest

from rig.chart import CHART
from tests.chart.charts import CI_VALUES, configuration, only, read, rendered, right

EVERY = pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
CERTIFICATES: dict[str, dict[str, Any]] = {
    "self-managed": {},
    "cert-manager": {"source": "cert-manager", "issuerRef": {"kind": "Issuer", "name": "ca"}},
    "files": {"source": "files", "existingSecret": "mine", "caBundle": "Q0E="},
}
"""Sources of certificates with what each needs."""


def rights(values: dict[str, Any], resource: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Rules of the chart on a resource: the kind of role, the verbs and the names."""
    return [
        (item["kind"], tuple(rule["verbs"]), tuple(rule.get("resourceNames", ())))
        for item in rendered(values)
        for rule in item.get("rules") or ()
        if resource in rule["resources"]
    ]


@pytest.mark.parametrize("source", CERTIFICATES)
@EVERY
def test_only_the_source_self_managed_needs_a_right_to_a_webhook_configuration(path: Path, source: str) -> None:
    values = {**read(path), "certificates": CERTIFICATES[source], "webhook": {}}
    own = only(rendered(values), "MutatingWebhookConfiguration")["metadata"]["name"]
    needed = [("ClusterRole", ("get", "patch"), (own,))] if source == "self-managed" else []
    assert rights(values, "mutatingwebhookconfigurations") == needed
    assert rights(values, "*") == rights(values, "validatingadmissionpolicies") == []


@pytest.mark.parametrize("source", CERTIFICATES)
def test_the_program_may_get_and_update_its_one_secret_and_create_none(source: str) -> None:
    values = right(certificates=CERTIFICATES[source])
    needed = [("Role", ("get", "update"), ("mxp-identity-webhook-tls",))] if source == "self-managed" else []
    assert rights(values, "secrets") == needed


def test_the_secret_of_the_program_is_rendered_empty_so_that_what_it_wrote_stays() -> None:
    objects = rendered(right())
    secret = only(objects, "Secret")
    assert {"data", "stringData", "immutable"}.isdisjoint(secret)
    assert f"secret: {secret['metadata']['name']}" in configuration(objects)


@pytest.mark.parametrize(
    "certificates", [CERTIFICATES["cert-manager"], CERTIFICATES["files"], {"existingSecret": "mine"}], ids=str
)
def test_a_secret_of_others_is_not_rendered(certificates: dict[str, Any]) -> None:
    assert "Secret" not in {item["kind"] for item in rendered(right(certificates=certificates))}


@pytest.mark.parametrize(("values", "disabled"), [({}, ["true"]), ({"aws": {"nodeRole": True}}, [])], ids=str)
def test_the_webhook_acts_as_its_node_only_where_the_values_say_so(
    values: dict[str, Any], disabled: list[str]
) -> None:
    (container,) = only(rendered(right(**values)), "Deployment")["spec"]["template"]["spec"]["containers"]
    found = [one["value"] for one in container["env"] if one["name"] == "AWS_EC2_METADATA_DISABLED"]
    assert found == disabled


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_EC2_METADATA_DISABLED"])
def test_a_variable_of_the_users_replaces_the_charts(name: str) -> None:
    values = right(aws={"region": "us-west-2"}, extraEnv=[{"name": name, "value": "theirs"}])
    (container,) = only(rendered(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert [one["value"] for one in container["env"] if one["name"] == name] == ["theirs"]


@EVERY
def test_the_same_values_render_the_same_objects(path: Path) -> None:
    assert rendered(read(path)) == rendered(read(path))


def test_no_template_makes_something_random_and_only_a_refusal_asks_the_cluster() -> None:
    unsteady = re.compile(r"\b(gen[A-Z]\w+|rand\w+|uuidv4|now|htpasswd|getHostByName)\b")
    asking = []
    for template in (CHART / "templates").rglob("*"):
        actions = re.findall(r"{{(?!-? */\*).*?}}", template.read_text() if template.is_file() else "", re.DOTALL)
        words = [re.sub(r'"[^"]*"', "", action) for action in actions]
        assert not [one for one in words if unsteady.search(one)], template
        asking += [template.name for one in words if re.search(r"\blookup\b", one)]
    # That template renders nothing. Of another release only the cluster knows; with `helm template` it finds none.
    assert asking == ["_validate.tpl"]
