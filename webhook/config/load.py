"""Reading the configuration file, with every problem named by its key."""

from __future__ import annotations

import reprlib
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from webhook.config import contract
from webhook.config.contract import Configuration
from webhook.config.wording import in_binding, yaml_problem
from webhook.model.errors import ConfigurationError
from webhook.model.text import legible

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

KEY = "config.yaml"
"""The key of the chart's ConfigMap that has the configuration."""

OF_THE_CHART = frozenset({
    "affinity", "aws", "commonLabels", "dnsConfig", "envFrom", "extraArgs", "extraEnv", "extraObjects",
    "extraVolumeMounts", "extraVolumes", "fullnameOverride", "global", "hostNetwork", "image", "imagePullSecrets",
    "monitoring", "nameOverride", "networkPolicy", "nodeSelector", "podAnnotations", "podDisruptionBudget",
    "podLabels", "priorityClassName", "replicas", "resources", "revisionHistoryLimit", "service",
    "serviceAccount", "tolerations", "topologySpreadConstraints", "webhook",
})  # fmt: skip
"""Values of the chart that are no keys of the configuration."""

_MODES = ("off", "warn", "deny")
"""What the chart's `podGate` may be, which in the configuration is a section."""

_RENDER = (
    "helm template mxp-identity-webhook charts/mxp-identity-webhook -f {} -s templates/configmap.yaml | "
    "mxp-identity config check -"
)

# What the loader raises beside YAMLError, for `!!int x`, 2001-13-45 or ten thousand open brackets.
_UNREADABLE = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def load_configuration(path: Path) -> Configuration:
    """The configuration in the YAML file at `path`, or at `-`, standard input.

    Raises ConfigurationError naming the file or the key, what is wrong, and what to write instead.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = content.decode()
    except OSError as error:
        raise ConfigurationError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text: {error}") from error
    return parse_configuration(text, "standard input" if str(path) == "-" else str(path))


def parse_configuration(text: str, origin: str) -> Configuration:
    """The configuration in a YAML text; messages name `origin`. Raises ConfigurationError."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  a SafeLoader that refuses repeated keys
    except _UNREADABLE as error:
        raise ConfigurationError(yaml_problem(error, origin)) from error
    if content is None:
        raise ConfigurationError(f"{origin}: is empty; it needs at least `bindings`")
    if not isinstance(content, dict):
        held = "a list" if isinstance(content, list) else "a single value"
        raise ConfigurationError(f"{origin}: holds {held}, not keys and values")
    if isinstance(inner := _in_config_map(content), str):
        return parse_configuration(inner, f"{origin}, {KEY}")
    if only := [key for key in content if key in OF_THE_CHART or (key == "podGate" and content[key] in _MODES)]:
        raise ConfigurationError(
            f"{origin}: {only[0]} is a value of the Helm chart, not a key of the configuration; check what the "
            f"chart makes of it: {_RENDER.format(origin)}"
        )
    try:
        return Configuration.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        meant = {
            (*detail["loc"][:-1], near)
            for detail in error.errors()
            if detail["type"] == "extra_forbidden" and (near := _meant(detail["loc"][-1]))
        }
        details = [detail for detail in error.errors() if not _follows(detail, meant)]
        raise ConfigurationError(*(_problem(detail, content) for detail in details)) from error


def _in_config_map(content: dict[Any, Any]) -> object:
    """The configuration in the chart's ConfigMap; None in anything else."""
    data = content.get("data") if content.get("kind") == "ConfigMap" else None
    return data.get(KEY) if isinstance(data, dict) else None


def _follows(detail: ErrorDetails, meant: set[tuple[int | str, ...]]) -> bool:
    """Whether it only follows from others.

    pydantic calls a list too short when its members are wrong. A key that is missing may be there, misspelt:
    `meant` are those.
    """
    return (detail["type"] == "too_short" and bool(detail["input"])) or (
        detail["type"] == "missing" and detail["loc"] in meant
    )


_MOST_KEYS = 1000
"""Of one mapping, with those that it merges."""

# Short, however much aliases have multiplied the value.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 80


def _problem(detail: ErrorDetails, content: dict[Any, Any]) -> str:
    keys = _keys(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{_place(keys[:-1], content)}unknown key {legible(keys[-1])}{_hint(keys[-1])}"
    if detail["type"] == "union_tag_invalid":
        keys = (*keys, "source")
    return f"{_place(keys, content)}{_wrong(detail)}"


def _place(keys: tuple[int | str, ...], content: dict[Any, Any]) -> str:
    """How a message about the value at `keys` begins."""
    start = ""
    if keys[:1] == ("bindings",) and len(keys) > 1 and isinstance(index := keys[1], int):
        bindings = content["bindings"]
        given = bindings[index] if isinstance(bindings, list) else None
        start, keys = in_binding(index, given.get("name") if isinstance(given, dict) else None), keys[2:]
    path = ".".join(map(legible, keys))
    return f"{start}{path}: " if path else start


def _wrong(detail: ErrorDetails) -> str:
    """What is wrong with a value, as a clause."""
    given = detail.get("input")
    match detail["type"]:
        case "union_tag_invalid":
            return f"is {_shown(detail['ctx']['tag'])}, but must be {detail['ctx']['expected_tags']}"
        case "missing":
            return "is missing"
        case "literal_error":
            return f"is {_shown(given)}, but must be {detail['ctx']['expected']}"
        case "tuple_type":
            return f"must be a list, but is {_shown(given)}"
        case "model_type" | "dict_type" | "union_tag_not_found":
            return f"must be keys and values, but is {_shown(given)}"
        case "too_short":
            return "is empty; give at least one"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            return f"{_expected(detail)}, but is {_shown(given)}"


_TYPES = {
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "float_type": "must be a number, without quotes, such as 0.2",
}


def _expected(detail: ErrorDetails) -> str:
    """What the value must be, as a clause; a limit of a duration is written as durations are."""
    kind = detail["type"]
    if isinstance(detail.get("input"), str):
        match kind:
            case "less_than_equal":
                return f"must be {_duration(detail['ctx']['le'])} at most"
            case "greater_than_equal":
                return f"must be {_duration(detail['ctx']['ge'])} at least"
            case "greater_than":
                return "must be longer than nothing"
    return _TYPES.get(kind) or detail["msg"].removeprefix("Input ")


def _hint(key: int | str) -> str:
    near = _meant(key)
    return f"; did you mean {near}?" if near else ""


def _meant(key: int | str) -> str | None:
    """The key of the configuration that is spelt nearly so."""
    known = {
        field.alias or name
        for section in vars(contract).values()
        if isinstance(section, type) and issubclass(section, BaseModel)
        for name, field in section.model_fields.items()
    }
    return next(iter(get_close_matches(str(key), sorted(known - {str(key)}), n=1, cutoff=0.75)), None)


def _duration(seconds: float) -> str:
    """As the file writes it."""
    day, hour = 86400, 3600
    if seconds > day:
        return f"{seconds / day:g}d"
    return f"{seconds / hour:g}h" if seconds >= hour else f"{seconds:g}s"


def _keys(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Without the source of certificates, which pydantic writes between `certificates` and its key."""
    return (location[0], *location[2:]) if location[:1] == ("certificates",) else location


def _shown(value: Any) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "a number of thousands of digits"


class _StrictLoader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a key given twice is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Bounded: merges of merges multiply, where aliases only repeat."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            raise yaml.constructor.ConstructorError(
                None, None, f"`<<` merges more than {_MOST_KEYS} keys", node.start_mark
            )
