"""What each process has been shown of the API server's objects, and where it was told less than the truth.

Whoever acts on a namespace's last change before it was shown that change has done nothing wrong. A process has
witnessed a deletion where one watch, or the list before it and that watch, showed the namespace terminating, and
gone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.support.virtual_time import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.model.decisions import LiveNamespace

KINDS = ("namespaces", "accounts")


class Sights:
    """Versions are the API server's: the number of a change."""

    def __init__(self, selects: Callable[[str, Mapping[str, str]], bool]) -> None:
        self._selects = selects
        self._changed: dict[tuple[str, str], int] = {}
        self._shown: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._kept_back: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._terminating: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._witnessed: dict[tuple[str, str], str] = {}
        self._selected: set[tuple[str, str]] = set()
        """Processes with the uids of the namespaces that they were shown selected."""
        self._present: defaultdict[str, set[str]] = defaultdict(set)
        self._absent_since: dict[tuple[str, str], float] = {}

    def changed(self, kind: str, name: str, version: int) -> None:
        """An object was stored or taken away."""
        self._changed[kind, name] = version

    def listed(self, caller: str, kind: str, version: int, kept_back: frozenset[str]) -> None:
        """A process has read a list, in which some objects were missing."""
        self._shown[caller, kind] = version
        self._kept_back[caller, kind] = set(kept_back)

    def watched(self, caller: str, kind: str, version: int, name: str) -> None:
        """A change has arrived at a process."""
        self._shown[caller, kind] = version
        self._kept_back[caller, kind].discard(name)

    def listed_namespaces(self, caller: str, namespaces: Mapping[str, LiveNamespace]) -> None:
        """The list was of these."""
        self._terminating[caller] = {name: one.uid for name, one in namespaces.items() if one.terminating}
        for one in namespaces.values():
            self._note_selected(caller, one)
        for name in self._present[caller] | namespaces.keys():
            self._note_presence(caller, name, is_there=name in namespaces)

    def watched_namespace(self, caller: str, name: str, namespace: LiveNamespace | None) -> None:
        """The change made it this, or took it away."""
        if namespace is not None:
            self._note_selected(caller, namespace)
        self._note_presence(caller, name, is_there=namespace is not None)
        uid = self._terminating[caller].pop(name, None)
        if namespace is None and uid is not None:
            self._witnessed[caller, name] = uid
        elif namespace is not None and namespace.terminating:
            self._terminating[caller][name] = namespace.uid

    def lost_touch(self, caller: str) -> None:
        """The process's watch of namespaces has ended."""
        self._terminating[caller].clear()

    def has_witnessed_deletion(self, caller: str, name: str, uid: str | None) -> bool:
        """Whether a process has seen the namespace with this uid end."""
        return uid is not None and self._witnessed.get((caller, name)) == uid

    def was_shown_selected(self, caller: str, uid: str | None) -> bool:
        """Whether a process was shown the namespace with this uid while a binding selected it."""
        return uid is not None and (caller, uid) in self._selected

    def absent_since(self, caller: str, name: str) -> float | None:
        """Since when a process is shown no such namespace; None where it was never shown one, or is now."""
        return self._absent_since.get((caller, name))

    def _note_presence(self, caller: str, name: str, *, is_there: bool) -> None:
        if is_there:
            self._present[caller].add(name)
            self._absent_since.pop((caller, name), None)
        elif name in self._present[caller]:
            self._present[caller].discard(name)
            self._absent_since[caller, name] = now()

    def _note_selected(self, caller: str, namespace: LiveNamespace) -> None:
        if self._selects(namespace.name, namespace.labels):
            self._selected.add((caller, namespace.uid))

    def up_to_date(self, caller: str, name: str) -> bool:
        """Whether a process knows a namespace and its ServiceAccount as they are."""
        return all(
            self._shown[caller, kind] >= self._changed.get((kind, name), 0)
            and name not in self._kept_back[caller, kind]
            for kind in KINDS
        )
