"""A wrong configuration is named by its key, with what to write instead; the cases are in cases/wrong.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.files import CASES, changed, read
from webhook.config.contract import Configuration
from webhook.config.load import OF_THE_CHART, load_configuration
from webhook.model.errors import ConfigurationError

REPOSITORY = Path(__file__).parents[2]
WRONG: list[dict[str, Any]] = yaml.safe_load((CASES / "wrong.yaml").read_text("utf-8"))


def _text(case: dict[str, Any]) -> str:
    if "text" in case:
        return str(case["text"])
    return yaml.safe_dump(changed(case["at"], *([case["put"]] if "put" in case else [])), allow_unicode=True)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["case"])
def test_a_wrong_configuration_is_explained_by_its_key(case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(_text(case), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        read(file)
    about = "" if "at" in case or str(case["says"][0]).endswith(":") else f"{file}:"
    lines = [line for line in refusal.value.problems if line.startswith(about or str(case["says"][0]))]
    assert any(all(words in line for words in case["says"]) for line in lines), str(refusal.value)


@pytest.mark.parametrize("case", [case for case in WRONG if "at" in case], ids=lambda case: case["case"])
def test_nothing_else_is_said_to_be_wrong(case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(_text(case), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        read(file)
    under = "certificates" if case["at"] == "certificates" else str(case["says"][0])
    assert [line for line in refusal.value.problems if not line.startswith(under.removesuffix(":"))] == []


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    text = yaml.safe_dump({**changed("server.port", 70000), "admission": {"trustBudget": "soon"}, "extra": 1})
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        read(file)
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()] == [
        "admission.trustBudget",
        "server.port",
        "unknown key extra",
    ]


def test_the_problems_of_several_bindings_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    content = changed("bindings.0.roles", ["mxp-backup"])
    content["bindings"].append({**content["bindings"][0], "name": "other", "serviceAccount": "A"})
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        read(file)
    assert [line.split(":")[0] for line in refusal.value.problems] == [
        'binding "backup"',
        'binding "other"',
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: no such file or directory"):
        read(tmp_path / "none.yaml")


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory"):
        read(tmp_path)


def test_the_values_that_only_the_chart_has_are_known() -> None:
    values = yaml.safe_load((REPOSITORY / "charts" / "mxp-identity-webhook" / "values.yaml").read_text("utf-8"))
    keys = {field.alias or name for name, field in Configuration.model_fields.items()}
    assert values.keys() - keys == OF_THE_CHART


def test_the_charts_config_map_is_read_as_the_configuration_in_it(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    text = (CASES / "right.yaml").read_text("utf-8")
    file.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"config.yaml": text}}), encoding="utf-8")
    assert load_configuration(file) == load_configuration(CASES / "right.yaml")
    file.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"config.yaml": "a: ["}}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"manifest\.yaml, config\.yaml:1:5: invalid YAML"):
        load_configuration(file)
