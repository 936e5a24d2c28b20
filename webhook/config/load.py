"""Reading the configuration file, with every problem named by its key."""

from __future__ import annotations

import reprlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from webhook.config import contract
from webhook.config.contract import Configuration
from webhook.model.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

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
    """The configuration in the YAML file at `path`.

    Raises ConfigurationError naming the file or the key, what is wrong, and what to write instead.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; name it with --config") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text: {error}") from error
    return parse_configuration(text, str(path))


def parse_configuration(text: str, origin: str) -> Configuration:
    """The configuration in a YAML text; messages name `origin`. Raises ConfigurationError."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  a SafeLoader that refuses repeated keys
    except _UNREADABLE as error:
        raise ConfigurationError(f"{origin}: is not YAML: {_words(error)}") from error
    if content is None:
        raise ConfigurationError(f"{origin}: is empty; it needs at least `bindings`")
    if not isinstance(content, dict):
        held = "a list" if isinstance(content, list) else "a single value"
        raise ConfigurationError(f"{origin}: holds {held}, not keys and values")
    try:
        return Configuration.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        details = [detail for detail in error.errors() if not _follows(detail)]
        raise ConfigurationError(*(_problem(detail) for detail in details)) from error


def _follows(detail: ErrorDetails) -> bool:
    """Whether it only follows from others: pydantic calls a list too short when its members are wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])


# Short, however much aliases have multiplied the value.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 80


def _problem(detail: ErrorDetails) -> str:
    path = ".".join(str(part) for part in _keys(detail["loc"]))
    given = detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: there is no such key; remove it, or correct its spelling{_meant(detail['loc'][-1])}"
        case "union_tag_invalid":
            return (
                f"{path}.source: is {_shown(detail['ctx']['tag'])}, but must be {detail['ctx']['expected_tags']}"
            )
        case "missing":
            return f"{path}: is missing"
        case "literal_error":
            choices = detail["ctx"]["expected"]
            return f"{path}: is {_shown(given)}, but must be {choices}"
        case "tuple_type":
            return f"{path}: must be a list, but is {_shown(given)}"
        case "model_type" | "dict_type" | "union_tag_not_found":
            return f"{path}: must be keys and values, but is {_shown(given)}"
        case "too_short":
            return f"{path}: is empty; give at least one"
        case "value_error":
            return f"{path}: {detail['ctx']['error']}"
        case _:
            return f"{path}: {_expected(detail)}, but is {_shown(given)}"


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


def _words(error: Exception) -> str:
    """What is wrong and in which line; the message names the file already."""
    return str(error).replace('in "<unicode string>", ', "in ")


def _meant(key: int | str) -> str:
    """The key of the configuration that is spelt nearly so, for the end of a message."""
    known = {
        field.alias or name
        for section in vars(contract).values()
        if isinstance(section, type) and issubclass(section, BaseModel)
        for name, field in section.model_fields.items()
    }
    near = get_close_matches(str(key), sorted(known - {str(key)}), n=1, cutoff=0.75)
    return f": {near[0]}?" if near else ""


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
