"""docs/use/guides/gitops.md: each snippet is whole, and its values are values of the chart."""

import json
import re
from typing import Any

import hcl2
import pytest
import yaml

from tests.chart.charts import rendered
from tests.guides.stage import DOCS

TEXT = (DOCS / "use" / "guides" / "gitops.md").read_text()
SNIPPETS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (snippet for snippet in SNIPPETS if snippet["kind"] == kind)
    return found


@pytest.mark.parametrize(
    "values",
    [
        of_kind("Application")["spec"]["source"]["helm"]["valuesObject"],
        of_kind("HelmRelease")["spec"]["values"],
    ],
    ids=["Argo CD", "Flux"],
)
def test_the_values_of_a_snippet_make_a_release(values: dict[str, Any]) -> None:
    kinds = {item["kind"] for item in rendered(values)}
    assert {"Deployment", "MutatingWebhookConfiguration"} <= kinds


def test_each_snippet_is_a_whole_object() -> None:
    for snippet in SNIPPETS:
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(snippet)


def test_the_first_trust_policies_allow_no_subject() -> None:
    (terraform,) = re.findall(r"^```hcl\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (role,) = hcl2.loads(terraform)["resource"]
    assert "nobody" in str(role)
    (initial,) = (one["spec"]["initProvider"] for one in SNIPPETS if "initProvider" in one["spec"])
    (statement,) = json.loads(initial["assumeRolePolicy"])["Statement"]
    key = statement["Principal"]["Federated"].partition(":oidc-provider/")[2]
    assert statement["Condition"] == {
        "StringEquals": {f"{key}:aud": "sts.amazonaws.com", f"{key}:sub": "nobody"},
    }


def test_no_role_of_a_snippet_has_its_trust_policy_written_again() -> None:
    for role in (snippet for snippet in SNIPPETS if snippet["kind"] == "Role"):
        annotations = role["metadata"].get("annotations", {})
        is_read_only = annotations.get("services.k8s.aws/read-only") == "true"
        policies = role["spec"].get("managementPolicies", ["*"])
        is_observed = policies == ["Observe"]
        is_initial = (
            "assumeRolePolicy" in role["spec"].get("initProvider", {}) and "LateInitialize" not in policies
        )
        assert is_read_only or is_observed or (is_initial and "*" not in policies)
    assert "ignore_changes = [assume_role_policy]" in TEXT
