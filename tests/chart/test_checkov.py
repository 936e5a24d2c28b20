"""checkov finds nothing in what the chart installs but what checkov.yaml explains."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import CI_VALUES, LINTERS, read, rendered

pytestmark = pytest.mark.proof

CHECKOV = LINTERS / "checkov"
EXPLAINED = yaml.safe_load((Path(__file__).parent / "checkov.yaml").read_text())
OPTIONS = ["--framework", "kubernetes", "--skip-download", "--output", "json", "--soft-fail"]
SUFFIX = "-values"


def _explains(exception: dict[str, Any], finding: tuple[str, str, str]) -> bool:
    check, resource, values = finding
    wanted = exception.get("values", [values])
    return bool((exception["check"], exception["resource"]) == (check, resource) and values in wanted)


def test_what_checkov_finds_is_explained_and_what_is_explained_is_found(tmp_path: Path) -> None:
    assert CHECKOV.exists(), "run make lint-chart, which installs it"
    for path in CI_VALUES:
        (tmp_path / path.name).write_text(yaml.safe_dump_all(rendered(read(path))))
    ran = subprocess.run(
        [CHECKOV, "--directory", tmp_path, *OPTIONS],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    report = json.loads(ran.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > len(CI_VALUES) * 100
    found = {
        (
            one["check_id"],
            ".".join(part for part in one["resource"].split(".") if part not in {"default", "mxp-identity"}),
            Path(one["file_path"]).stem.removesuffix(SUFFIX),
        )
        for one in report["results"]["failed_checks"]
    }
    assert sorted(one for one in found if not any(_explains(each, one) for each in EXPLAINED)) == []
    assert [each for each in EXPLAINED if not any(_explains(each, one) for one in found)] == []
