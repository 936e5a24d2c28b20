"""The chart's values and what helm makes of them."""

import sys
from pathlib import Path
from typing import Any

import yaml

from rig.chart import CHART, render
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM

LINTERS = Path(sys.prefix) / "linters" / "bin"
"""Programs that are not installed among the program's packages; `make lint-chart` installs them."""

CI_VALUES = sorted((CHART / "ci").glob("*.yaml"))
"""One file a feature."""


def read(path: Path) -> dict[str, Any]:
    """Values of a file."""
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    return values


def right(**values: Any) -> dict[str, Any]:
    """Values that work, with others over them."""
    return read(CHART / "ci" / "default-values.yaml") | values


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a release named as the rig's."""
    return render(values, PROGRAM, OWN_NAMESPACE)


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def configuration(objects: list[dict[str, Any]]) -> str:
    """The program's configuration file."""
    (found,) = [item for item in objects if item["kind"] == "ConfigMap" and "config.yaml" in item.get("data", {})]
    return str(found["data"]["config.yaml"])
