"""What the chart installs is valid by Kubernetes' published schemas, read strictly: no key is unknown."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rig.chart import CHART
from tests.chart.charts import CI_VALUES, LINTERS, only, read, rendered, right

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proof

VALIDATE = LINTERS / "kubernetes-validate"
FLOOR = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix("-0")

OF_OPERATORS = {"Certificate", "CiliumNetworkPolicy", "PrometheusRule", "ServiceMonitor"}
"""Kinds of cert-manager, Cilium and Prometheus' operator: Kubernetes publishes no schema of them."""


def _complaints(objects: list[dict[str, Any]], folder: Path, version: str | None = None) -> str:
    """What kubernetes-validate says of them, nothing where all are valid; by its newest schemas unless told."""
    assert VALIDATE.exists(), "run make lint-chart, which installs it"
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    options = ["--strict", "--quiet", *(["--kubernetes-version", version] if version else [])]
    ran = subprocess.run([VALIDATE, *options, file], capture_output=True, text=True, check=False, timeout=300)
    said = ran.stdout + ran.stderr
    assert bool(ran.returncode) == bool(said.strip()), said
    return said


@pytest.mark.parametrize("version", [FLOOR, None], ids=["the oldest that the chart allows", "the newest"])
def test_each_object_of_each_values_file_is_valid(version: str | None, tmp_path: Path) -> None:
    every = [item for path in CI_VALUES for item in rendered(read(path))]
    checked = [item for item in every if item["kind"] not in OF_OPERATORS]
    assert {item["kind"] for item in every} - {item["kind"] for item in checked} == OF_OPERATORS
    assert _complaints(checked, tmp_path, version) == ""


def test_a_key_that_kubernetes_does_not_know_is_found(tmp_path: Path) -> None:
    deployment = only(rendered(right()), "Deployment")
    deployment["spec"]["template"]["spec"]["imagePullSecret"] = "a"
    assert re.search("imagePullSecret", _complaints([deployment], tmp_path))
