"""Control planes by the names that people gave them: the labels that Spaces puts on their host namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from webhook.model.errors import InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from webhook.model.decisions import LiveNamespace

NAME_LABEL = "internal.spaces.upbound.io/controlplane-name"
"""The control plane's name."""

GROUP_LABEL = "internal.spaces.upbound.io/controlplane-namespace"
"""The group that it is in. Not every version of Spaces is known to set it: without it the group is not known."""

LABELS = frozenset({NAME_LABEL, GROUP_LABEL})


@dataclass(frozen=True, slots=True, order=True)
class ControlPlane:
    """A control plane by its host namespace. Name and group are empty where no label has them."""

    namespace: str
    name: str = ""
    group: str = ""

    @property
    def title(self) -> str:
        """`group/name`, as far as it is known."""
        return f"{self.group}/{self.name}" if self.group and self.name else self.name

    @property
    def fields(self) -> dict[str, str | None]:
        """Its names in a document."""
        return {"controlPlane": self.name or None, "group": self.group or None}


class ControlPlanes:
    """Those of a cluster, by their host namespaces."""

    def __init__(self, namespaces: Iterable[LiveNamespace] = ()) -> None:
        self._found = {one.name: one for one in namespaces}

    def at(self, namespace: str) -> ControlPlane:
        """The one of a namespace; without names where the namespace is gone, or has none."""
        found = self._found.get(namespace)
        labels = found.labels if found else {}
        return ControlPlane(namespace, labels.get(NAME_LABEL, ""), labels.get(GROUP_LABEL, ""))

    def chosen(self, choice: Choice) -> frozenset[str] | None:
        """The namespaces that are meant; None for all. Raises InvalidNameError for none, or several of a name."""
        if choice.namespace is not None:
            return frozenset({self._namespace(choice.namespace)})
        if choice.name is not None:
            return frozenset({self._named(choice.name, choice.group)})
        return None if choice.group is None else self._in_group(choice.group)

    def _namespace(self, name: str) -> str:
        if name not in self._found:
            raise InvalidNameError(f'no namespace "{name}"{_did_you_mean(name, self._found)}')
        return name

    def _named(self, name: str, group: str | None) -> str:
        planes = [one for one in map(self.at, self._found) if one.name]
        alike = [one for one in planes if one.name == name]
        found = [one for one in alike if group in {None, one.group}]
        # One that was deleted and created again has two namespaces for a while.
        found = [one for one in found if not self._found[one.namespace].terminating] or found
        if not found and group is None and name in self._found:
            return name
        if not found and alike:
            raise InvalidNameError(f'no control plane "{name}" in group "{group}"; there is {_listed(alike)}')
        if not found:
            known = {one.name for one in planes} | ({*self._found} if group is None else set())
            kind = "control plane or namespace" if group is None else "control plane"
            raise InvalidNameError(f'no {kind} "{name}"{_did_you_mean(name, known)}')
        if (
            found
            and group is None
            and name in self._found
            and (other := self.at(name)).name
            and other not in found
        ):
            raise InvalidNameError(
                f'"{name}" is the name of a control plane, {_listed(found)}, and the host namespace of another, '
                f"{other.title}; use --group or --namespace"
            )
        if len(found) > 1:
            groups = {one.group for one in found}
            told_apart = len(groups) == len(found) and "" not in groups
            raise InvalidNameError(
                f'control plane "{name}" is there {len(found)} times: {_listed(found)}; '
                f"use {'--group' if told_apart else '--namespace'}"
            )
        return found[0].namespace

    def _in_group(self, group: str) -> frozenset[str]:
        planes = [one for one in map(self.at, self._found) if one.name]
        found = frozenset(one.namespace for one in planes if one.group == group)
        if not found:
            known = sorted({one.group for one in planes if one.group})
            raise InvalidNameError(f'no control plane in group "{group}"; groups: {", ".join(known) or "none"}')
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has typed to choose control planes; nothing chooses all."""

    name: str | None = None
    group: str | None = None
    namespace: str | None = None

    def __post_init__(self) -> None:
        if self.namespace is not None and (self.name is not None or self.group is not None):
            raise InvalidNameError("--namespace chooses alone: leave out the name and --group")

    @property
    def is_all(self) -> bool:
        """Whether it chooses all."""
        return self == Choice()


def _listed(planes: Iterable[ControlPlane]) -> str:
    return ", ".join(f"{one.group or 'no group'} ({one.namespace})" for one in sorted(planes))


def _did_you_mean(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""
