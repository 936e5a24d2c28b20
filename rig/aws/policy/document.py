"""A policy document as values: JSON in, frozen statements out.

The grammar lets nearly everything be a scalar or a list; here everything is a tuple. A document that is not a
policy raises `ValueError`; saying in AWS's words what is wrong with a trust policy is `grammar`'s work.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

VARIABLES_SINCE = "2012-10-17"


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator, one key (lower case: keys are case-insensitive), and the values that are ORed."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `None` means that the element is absent."""

    allows: bool
    sid: str | None = None
    principals: Mapping[str, tuple[str, ...]] | None = None
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A document. `version` is 2008-10-17 when the document names none."""

    version: str
    statements: tuple[Statement, ...]

    @property
    def expands_variables(self) -> bool:
        """Whether `${...}` is a variable: only from version 2012-10-17 (reference_policies_variables)."""
        return self.version >= VARIABLES_SINCE


@lru_cache(maxsize=4096)
def parse(text: str) -> Policy:
    """Read a document. Raises `ValueError` when it is not one."""
    try:
        return _policy(json.loads(text))
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"this JSON is not a policy document: {error!r}") from error


def strings(value: Any) -> tuple[str, ...]:
    """Return a scalar or a list of scalars as a tuple; JSON's true, false and numbers as IAM writes them."""
    return tuple(_string(item) for item in (value if isinstance(value, list) else [value]))


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{value!r} is neither a string, a number nor a boolean")


def _policy(raw: dict[str, Any]) -> Policy:
    found = raw["Statement"]
    statements = found if isinstance(found, list) else [found]
    return Policy(raw.get("Version", "2008-10-17"), tuple(_statement(item) for item in statements))


def _statement(raw: dict[str, Any]) -> Statement:
    def optional(name: str) -> tuple[str, ...] | None:
        return strings(raw[name]) if name in raw else None

    return Statement(
        allows=raw["Effect"] == "Allow",
        sid=raw.get("Sid"),
        principals=_principals(raw.get("Principal")),
        actions=optional("Action"),
        not_actions=optional("NotAction"),
        resources=optional("Resource"),
        not_resources=optional("NotResource"),
        conditions=tuple(
            Condition(operator, key.lower(), strings(values))
            for operator, block in raw.get("Condition", {}).items()
            for key, values in block.items()
        ),
    )


def _principals(raw: Any) -> Mapping[str, tuple[str, ...]] | None:
    if raw is None:
        return None
    if raw == "*":
        return {"AWS": ("*",)}
    return {kind: strings(values) for kind, values in raw.items()}
