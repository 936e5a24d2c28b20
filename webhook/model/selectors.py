"""Which namespaces a binding means: a label selector, a name pattern, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.errors import InvalidNameError
from webhook.model.names import is_label_key, is_label_value
from webhook.model.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PATTERN = re.compile(r"[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?")
_ANY_TEXT = "\N{NULL}"


class Operator(StrEnum):
    """Operators of a Kubernetes label selector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One label requirement, with Kubernetes' semantics: NotIn also holds where the label is absent."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not is_label_key(self.key):
            raise InvalidNameError(f"{self.key!r} is not the key of a label")
        for value in sorted(self.values):
            if not is_label_value(value):
                raise InvalidNameError(f"{value!r} is not the value of a label")
        if (self.operator in {Operator.IN, Operator.NOT_IN}) != bool(self.values):
            needed = "takes no values" if self.values else "needs at least one value"
            raise InvalidNameError(f"operator {self.operator} {needed}")

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels meets the requirement."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None

    def follows_from(self, other: Requirement) -> bool:
        """Whether every namespace that meets `other` meets this one too."""
        if self.key != other.key:
            return False
        match self.operator, other.operator:
            case (Operator.EXISTS, Operator.EXISTS | Operator.IN):
                return True
            case (Operator.IN, Operator.IN):
                return other.values <= self.values
            case (Operator.NOT_IN, Operator.NOT_IN):
                return self.values <= other.values
            case (Operator.NOT_IN, Operator.IN):
                return not self.values & other.values
            case (Operator.NOT_IN | Operator.DOES_NOT_EXIST, Operator.DOES_NOT_EXIST):
                return True
            case _:
                return False


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A namespace name in which `*` stands for any run of characters."""

    value: str

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.value):
            raise InvalidNameError(
                f"{self.value!r} is not a namespace pattern: lower-case letters, digits and -, with * for any "
                "run of characters, such as mxp-*-system"
            )

    def __str__(self) -> str:
        return self.value

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` fits the pattern."""
        return matches_wildcard(self.value, name)

    def covers(self, other: NamePattern) -> bool:
        """Whether every name that fits `other` fits this pattern too.

        The stars of `other` become a character that no literal equals, so only a star of ours can match them.
        """
        return self.matches(other.value.replace("*", _ANY_TEXT))


@dataclass(frozen=True, slots=True)
class NamespaceSelector:
    """All of what is given must hold; at least one requirement or a pattern is given."""

    requirements: tuple[Requirement, ...] = ()
    pattern: NamePattern | None = None

    def __post_init__(self) -> None:
        if not self.requirements and self.pattern is None:
            raise InvalidNameError("an empty selector would mean every namespace; give a selector or a pattern")

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a namespace of this name with these labels is meant."""
        return self.may_select(name) and all(requirement.holds(labels) for requirement in self.requirements)

    def may_select(self, name: str) -> bool:
        """Whether a namespace of this name is meant if it has the right labels."""
        return self.pattern is None or self.pattern.matches(name)

    def covers(self, other: NamespaceSelector) -> bool:
        """Whether every namespace that `other` selects is selected by this one too, as far as can be proved."""
        if self.pattern is not None and (other.pattern is None or not self.pattern.covers(other.pattern)):
            return False
        return all(_any_implies(other.requirements, wanted) for wanted in self.requirements)

    def label_keys(self) -> frozenset[str]:
        """The labels that this selector reads."""
        return frozenset(requirement.key for requirement in self.requirements)


def _any_implies(given: Iterable[Requirement], wanted: Requirement) -> bool:
    return any(wanted.follows_from(requirement) for requirement in given)
