"""`config check`: a file is right or wrong, and nothing but the file is asked."""

from pathlib import Path

import pytest
import yaml

from tests.cli.commands import BINDING, PLAIN, REPOSITORY, call, run, run_as_printed

RIGHT = yaml.safe_dump({"bindings": [BINDING]})
MISSPELT = RIGHT.replace("serviceAccount", "serviceaccount")

WRONG = {
    "a key misspelt": (MISSPELT, 'binding "backup": unknown key serviceaccount; did you mean serviceAccount?'),
    "no YAML": ("bindings:\n  - name: backup\n x: 1\n", "{file}:3:2: invalid YAML"),
    "a key twice": ("bindings: []\nbindings: []\n", "{file}:2:1: invalid YAML: key 'bindings' is given twice"),
    "merges of merges, which multiply": (
        "x0: &x0 {a: 1}\n"
        + "".join(f"x{n + 1}: &x{n + 1} {{<<: [{', '.join([f'*x{n}'] * 9)}]}}\n" for n in range(9)),
        "{file}:5:5: invalid YAML: `<<` merges more than 1000 keys",
    ),
    "a set in place of a list": ("bindings: !!set {a}\n", "bindings.0: must be keys and values, but is 'a'"),
    "a name that is no role's": (
        yaml.safe_dump({"bindings": [{**BINDING, "roles": ["mxp-backup"]}]}),
        "binding \"backup\": roles.0: 'mxp-backup' is not the ARN of an IAM role",
    ),
    "an issuer that is none": (
        yaml.safe_dump({"bindings": [BINDING], "cluster": {"issuer": "http://a"}}),
        "cluster.issuer: 'http://a' is not an issuer URL",
    ),
    "values of the chart": (
        yaml.safe_dump({"bindings": [BINDING], "replicas": 3}),
        "{file}: replicas is a value of the Helm chart, not a key of the configuration; check what the",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(tmp_path: Path, case: str) -> None:
    text, words = WRONG[case]
    file = tmp_path / "values.yaml"
    file.write_text(text)
    answer = call("config", "check", str(file), env=PLAIN)
    (line,) = answer.err.splitlines()
    assert (answer.code, answer.out) == (2, "")
    assert line.startswith(f"Error: {words.format(file=file)}")


def test_each_key_that_is_wrong_has_a_line(tmp_path: Path) -> None:
    file = tmp_path / "configuration.yaml"
    file.write_text(yaml.safe_dump({"bindings": [BINDING], "server": {"port": -1}, "observe": "no"}))
    answer = call("config", "check", str(file), env=PLAIN)
    assert [line.split(":")[:2] for line in answer.err.splitlines()] == [
        ["Error", " observe"],
        ["Error", " server.port"],
    ]


def test_a_file_that_is_right_is_shown_by_its_bindings(tmp_path: Path) -> None:
    file = tmp_path / "configuration.yaml"
    file.write_text(RIGHT)
    answer = call("config", "check", str(file), env=PLAIN)
    said = "binding backup: ServiceAccount mxp-controller, mode irsa, 1 role\nthe configuration is right\n"
    assert (answer.code, answer.out, answer.err) == (0, said, "")


def test_a_file_that_is_not_there_is_named() -> None:
    answer = call("config", "check", "nowhere.yaml", env=PLAIN)
    assert (answer.code, answer.err) == (2, "Error: nowhere.yaml: no such file or directory\n")


@pytest.mark.rig
def test_values_are_checked_by_what_the_chart_makes_of_them(tmp_path: Path) -> None:
    """The command that the error prints, as it stands."""
    file = tmp_path / "values.yaml"
    image = {"registry": "registry.example"}
    file.write_text(yaml.safe_dump({"bindings": [BINDING], "image": image, "nameOverride": "other"}))
    refused = run("config", "check", str(file), env=PLAIN)
    command = refused.err.partition("makes of it: ")[2]
    assert command.startswith("helm template ")
    run_as_printed(f"set -o pipefail; {command}", {**PLAIN, "PYTHONPATH": str(REPOSITORY)}, tmp_path)
