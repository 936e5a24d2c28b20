"""Whatever is in the file: a configuration or a ConfigurationError, never a traceback."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.files import RIGHT, changed, read
from webhook.model.errors import ConfigurationError

# One file for all examples: each is written over the last.
anything_goes = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _read(folder: Path, content: bytes) -> None:
    file = folder / "config.yaml"
    file.write_bytes(content)
    with contextlib.suppress(ConfigurationError):
        read(file)


def _paths(value: Any, path: str = "") -> list[str]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, member in inner for found in (f"{path}{key}", *_paths(member, f"{path}{key}."))]


yaml_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
_FRAGMENTS = (
    *(
        "bindings",
        "server",
        "port",
        "irsa",
        "0x1F",
        "1_0",
        "1:30",
        ".nan",
        "2001-02-31",
        "\\ud800",
        "\x00",
        "\ufeff",
    ),
    *("!!int ", "!!map ", "!!set ", "!!timestamp ", "!!float ", "!!bool ", "!!null ", "&a ", "*a", "<<", "=", "~"),
    *(": ", ":", "- ", "? ", "\n", "  ", "---", "...", "{", "}", "[", "]", "|", ">", "'", '"', "%", "#", ","),
)
yaml_fragments = st.lists(st.sampled_from(_FRAGMENTS), max_size=12).map("".join)


@anything_goes
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, content: bytes) -> None:
    _read(tmp_path, content)


@anything_goes
@given(yaml_fragments | st.text())
def test_any_text_is_read_or_refused_in_words(tmp_path: Path, text: str) -> None:
    _read(tmp_path, text.encode("utf-8", "surrogatepass"))


@anything_goes
@given(st.sampled_from(_paths(RIGHT)), yaml_values)
def test_any_value_at_any_key_is_read_or_refused_in_words(tmp_path: Path, at: str, value: object) -> None:
    _read(tmp_path, yaml.safe_dump(changed(at, value)).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 5000,
        b"bindings: " + b"{a: " * 5000,
        b"server: {port: 0x" + b"F" * 6000 + b"}",
        b"server: {port: " + b"9" * 6000 + b"}",
        b"server: {port: &a [*a]}",
        b"bindings: &a [*a]",
        b"!!map [a, b]",
        b"!!set x",
        b"\xff\xfe\x00",
        b'"\\ud800": 1',
        b'namespace: "\\ud800"',
        b"bindings: [{mode: 0x" + b"F" * 6000 + b"}]",
    ],
    ids=lambda content: repr(content[:16]),
)
def test_the_odd_ones_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refusal:
        read(file)
    assert len(str(refusal.value)) < 2000


def test_aliases_that_multiply_are_refused_at_once_and_shown_short(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join([*lines, "server: {port: *a29}"]), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"server\.port") as refusal:
        read(file)
    assert all(len(line) < 500 for line in refusal.value.problems)
