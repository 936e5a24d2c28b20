"""What a release consists of, as a person or a scanner reads it."""

import json
import subprocess
import tarfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any
from zipfile import Path as ZipPath

import pytest
import yaml

from rig.chart import CHART
from rig.release.make import Made
from rig.release.sums import SUMS
from tests.release.repositories import commit, git, release_of, repository_in
from tests.release.sboms import assert_is_sbom
from webhook import VERSION

NOT_CHOSEN = "not chosen"
NAME = "mxp-identity-webhook"
LABELS = "org.opencontainers.image"


def wheel_of(made: Made) -> Distribution:
    (info,) = (each for each in ZipPath(made.wheel).iterdir() if each.name.endswith(".dist-info"))
    return PathDistribution(info)


def chart_of(made: Made) -> dict[str, Any]:
    with tarfile.open(made.chart) as archive:
        content = archive.extractfile(f"{NAME}/Chart.yaml")
        assert content
        return dict(yaml.safe_load(content))


def json_of(made: Made, ending: str) -> dict[str, Any]:
    (file,) = (each for each in made.files if each.name.endswith(ending))
    return dict(json.loads(file.read_text()))


def test_two_runs_for_one_commit_write_the_same_bytes(made: Made, repository: Path, tmp_path: Path) -> None:
    again = release_of(repository, tmp_path / "dist")
    assert [file.name for file in again.files] == [file.name for file in made.files]
    assert again.files[-1].read_text() == made.files[-1].read_text()


def test_the_sums_hold_and_leave_nothing_out(made: Made) -> None:
    folder = made.files[0].parent
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, check=True)
    summed = {line.split()[1] for line in (folder / SUMS).read_text().splitlines()}
    assert summed == {file.name for file in folder.iterdir()} - {SUMS}


def test_what_is_not_committed_is_no_part_of_it_and_is_named(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = repository_in(tmp_path / "repository")
    (changed / "webhook" / "__init__.py").write_text('VERSION = "9.9.9"\n')
    assert release_of(changed, tmp_path / "dist").wheel.name == made.wheel.name
    assert "webhook/__init__.py" in capsys.readouterr().out


def test_the_version_is_the_same_everywhere(made: Made) -> None:
    assert wheel_of(made).version == VERSION
    for chart in (chart_of(made), yaml.safe_load((CHART / "Chart.yaml").read_text())):
        assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_the_wheel_says_what_it_is_and_brings_the_command(made: Made) -> None:
    wheel = wheel_of(made)
    said = wheel.metadata
    assert (said["Name"], said["License"], said["Requires-Python"]) == (NAME, NOT_CHOSEN, ">=3.11")
    assert said["Summary"] == yaml.safe_load((CHART / "Chart.yaml").read_text())["description"]
    assert said["Description-Content-Type"] == "text/markdown"
    assert "Private :: Do Not Upload" in (said.get_all("Classifier") or [])
    urls = dict(url.split(", ") for url in said.get_all("Project-URL") or [])
    assert urls == dict.fromkeys(("Source", "Image", "Chart"), NOT_CHOSEN)
    (command,) = wheel.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("mxp-identity", "webhook.cli:main")


def test_the_chart_says_which_commit_it_is_of(made: Made, repository: Path) -> None:
    annotations = chart_of(made)["annotations"]
    assert annotations[f"{LABELS}.revision"] == git(repository, "rev-parse", "HEAD").strip()
    assert annotations[f"{LABELS}.created"] == "2026-11-01T12:00:00+00:00"
    assert annotations[f"{LABELS}.source"] == annotations[f"{LABELS}.licenses"] == NOT_CHOSEN


def test_the_list_of_the_wheel_is_valid_and_has_each_locked_requirement(made: Made, repository: Path) -> None:
    (file,) = (each for each in made.files if each.name.endswith("-wheel.cdx.json"))
    assert_is_sbom(file)
    found = json_of(made, "-wheel.cdx.json")
    locked = (repository / "requirements" / "runtime.txt").read_text()
    pinned = {line.split()[0] for line in locked.splitlines() if "==" in line and line[0].isalpha()}
    assert {f"{each['name']}=={each['version']}" for each in found["components"]} == pinned
    needs = {each["ref"]: each.get("dependsOn", []) for each in found["dependencies"]}
    (program,) = (names for ref, names in needs.items() if ref == found["metadata"]["component"]["bom-ref"])
    assert [name for name in program if name.startswith("pkg:pypi/boto3@")]
    assert [ref for ref, names in needs.items() if any("colorama" in name for name in names)] != []


def test_the_provenance_names_the_commit_and_each_file_by_its_digest(made: Made, repository: Path) -> None:
    statement = json_of(made, ".intoto.json")
    summed = {line.split()[1]: line.split()[0] for line in made.files[-1].read_text().splitlines()}
    for subject in statement["subject"]:
        assert subject["digest"]["sha256"] == summed.pop(subject["name"])
    assert list(summed) == [f"{NAME}-{VERSION}.intoto.json"]
    inputs = {
        each["uri"]: each["digest"] for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert inputs[f"git+{NOT_CHOSEN}"] == {"gitCommit": git(repository, "rev-parse", "HEAD").strip()}
    assert "requirements/runtime.txt" in inputs


def test_the_owners_choice_is_in_all_files_once_it_is_made_in_one(tmp_path: Path) -> None:
    chosen = repository_in(tmp_path / "repository")
    project = chosen / "pyproject.toml"
    source = "https://git.example.com/mxp"
    text = project.read_text().replace('license = {text = "not chosen"}', 'license = "Apache-2.0"')
    project.write_text(text.replace('"not chosen"', f'"{source}"'))
    commit(chosen)
    made = release_of(chosen, tmp_path / "dist")
    assert wheel_of(made).metadata["License-Expression"] == "Apache-2.0"
    assert chart_of(made)["annotations"][f"{LABELS}.licenses"] == "Apache-2.0"
    assert chart_of(made)["annotations"][f"{LABELS}.source"] == source
    subject = json_of(made, "-wheel.cdx.json")["metadata"]["component"]
    assert subject["licenses"][0]["license"]["id"] == "Apache-2.0"
    assert f"git+{source}" in json.dumps(json_of(made, ".intoto.json"))
    for file in made.files:
        if file.suffix == ".json":
            assert NOT_CHOSEN not in file.read_text()
