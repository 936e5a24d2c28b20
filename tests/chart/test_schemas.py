"""What the chart installs is valid by Kubernetes' published schemas, read strictly: no key is unknown."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from rig.chart import CHART
from tests.chart.charts import CI_VALUES, only, read, rendered, right

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOOR = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix("-0")
VERSIONS = sorted({utils.major_minor(FLOOR), utils.major_minor(utils.latest_version())})
"""The oldest that the chart allows, and the newest with a schema."""

OF_OPERATORS = {"Certificate", "CiliumNetworkPolicy", "PrometheusRule", "ServiceMonitor"}
"""Kinds of cert-manager, Cilium and Prometheus' operator: Kubernetes publishes no schema of them."""


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    """The objects of all values in ci/, each once."""
    every = {json.dumps(item, sort_keys=True) for path in CI_VALUES for item in rendered(read(path))}
    return [json.loads(one) for one in sorted(every)]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_of_each_values_file_is_valid(objects: list[dict[str, Any]], version: str) -> None:
    checked = set()
    for item in objects:
        if item["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(item, version, strict=True)
            checked.add(item["kind"])
    assert checked | OF_OPERATORS == {item["kind"] for item in objects}
    assert {"Deployment", "MutatingWebhookConfiguration", "NetworkPolicy", "ValidatingAdmissionPolicy"} <= checked


def test_a_key_that_kubernetes_does_not_know_is_found() -> None:
    deployment = only(rendered(right()), "Deployment")
    deployment["spec"]["template"]["spec"]["imagePullSecret"] = "a"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullSecret"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)
