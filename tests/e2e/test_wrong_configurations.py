"""A wrong configuration stops `serve` at once, with a message for a person and exit code 2."""

import copy
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.permissions import PROGRAM
from rig.pki import Authority
from rig.space import Space
from rig.webhook import run_serve
from tests.e2e.scenes import bare_space
from tests.support.variants import variants

CASES = yaml.safe_load(Path(__file__).with_name("wrong_configurations.yaml").read_text())
FILES = {
    "missing": (None, "no such file or directory"),
    "empty": ("", "is empty; it needs at least `bindings`"),
    "a comment": ("# only a comment\n", "is empty"),
    "no YAML": ("bindings: [", "invalid YAML"),
    "a list": ("- a\n- list\n", "not keys and values"),
}
AT_ONCE_S = 15.0
"""Nothing is waited for or tried again; a machine with much else to do takes some seconds to start Python."""


@dataclass(frozen=True)
class Right:
    """A right configuration, the environment to run it in, and what cases refer to."""

    configuration: dict[str, Any]
    environment: Mapping[str, str]
    words: Mapping[str, str]


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space() as running:
        yield running


@pytest.fixture(scope="module")
def right(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Right]:
    folder = tmp_path_factory.mktemp("certificates")
    certificate, key = space.authority.issue("serving").write(folder, "serving")
    _, other = Authority("another").issue("other").write(folder, "other")
    with socket.create_server(("127.0.0.1", 0)) as used:
        yield Right(
            space.configuration(
                server={"host": "127.0.0.1", "port": 0, "metricsPort": 0},
                certificates={"source": "files", "certFile": str(certificate), "keyFile": str(key)},
            ),
            space.environment(),
            {
                "{role}": space.roles[0],
                "{own_role}": space.role_arn(PROGRAM),
                "{issuer}": space.cluster.issuer,
                "{used_port}": str(used.getsockname()[1]),
                "{other_key}": str(other),
            },
        )


@pytest.mark.rig
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.proof] if case.get("proof") else [], id=case["name"])
        for case in CASES
    ],
)
def test_serve_stops_at_once_and_says_which_key_and_what_to_do(
    right: Right, tmp_path: Path, case: dict[str, Any]
) -> None:
    configuration = copy.deepcopy(right.configuration)
    for path, value in case["set"].items():
        _set(configuration, path.split("."), _filled(value, right.words))
    file = tmp_path / "configuration.yaml"
    file.write_text(yaml.safe_dump(configuration))
    message = _message_of(file, right.environment)
    for words in case["says"]:
        assert _filled(words, right.words) in message


@pytest.mark.rig
@pytest.mark.parametrize("name", variants(FILES))
def test_a_file_that_is_no_configuration_is_named(right: Right, tmp_path: Path, name: str) -> None:
    content, words = FILES[name]
    file = tmp_path / "configuration.yaml"
    if content is not None:
        file.write_text(content)
    message = _message_of(file, right.environment)
    assert f"Error: {file}:" in message
    assert words in message


@pytest.mark.rig
def test_the_right_one_that_all_cases_start_from_serves(space: Space) -> None:
    assert space.start_webhook().terminate() == 0


def _message_of(file: Path, environment: Mapping[str, str]) -> str:
    """What `serve` says of a configuration that it refuses, with all the claims about every such message."""
    began = time.monotonic()
    done = run_serve(file, environment)
    assert time.monotonic() - began < AT_ONCE_S
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    problems = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert problems
    assert all(problem.startswith("Error: ") for problem in problems)
    return "\n".join(problems)


def _set(configuration: Any, keys: list[str], value: Any) -> None:
    *path, last = [int(key) if key.isdigit() else key for key in keys]
    for key in path:
        configuration = (
            configuration.setdefault(key, {}) if isinstance(configuration, dict) else configuration[key]
        )
    if value is None:
        del configuration[last]
    elif isinstance(configuration, list) and last == len(configuration):
        configuration.append(value)
    else:
        configuration[last] = value


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The value with every {word} filled in; a string that is only a number becomes one."""
    match value:
        case str():
            for word, meaning in words.items():
                value = value.replace(word, meaning)
            return int(value) if value.isdigit() else value
        case list():
            return [_filled(inner, words) for inner in value]
        case dict():
            return {key: _filled(inner, words) for key, inner in value.items()}
        case _:
            return value
