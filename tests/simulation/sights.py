"""What each process has been shown of the API server's objects, and where it was told less than the truth.

Whoever acts on a namespace's last change before it was shown that change has done nothing wrong.
"""

from __future__ import annotations

from collections import defaultdict

KINDS = ("namespaces", "accounts")


class Sights:
    """Versions are the API server's: the number of a change."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, str], int] = {}
        self._shown: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._kept_back: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def changed(self, kind: str, name: str, version: int) -> None:
        """An object was stored or taken away."""
        self._changed[kind, name] = version

    def listed(self, who: str, kind: str, version: int, kept_back: frozenset[str]) -> None:
        """A process has read a list, in which some objects were missing."""
        self._shown[who, kind] = version
        self._kept_back[who, kind] = set(kept_back)

    def watched(self, who: str, kind: str, version: int, name: str) -> None:
        """A change has arrived at a process."""
        self._shown[who, kind] = version
        self._kept_back[who, kind].discard(name)

    def up_to_date(self, who: str, name: str) -> bool:
        """Whether a process knows a namespace and its ServiceAccount as they are."""
        return all(
            self._shown[who, kind] >= self._changed.get((kind, name), 0) and name not in self._kept_back[who, kind]
            for kind in KINDS
        )
