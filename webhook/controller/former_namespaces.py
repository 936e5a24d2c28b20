"""Namespaces that were selected once and are not any more, as this replica's own watch showed it.

Every replica keeps them, so that a new leader knows what the leader before knew: the uid of the namespace that was
trusted, since when its trust is unused, and whether its deletion was witnessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.model.decisions import LiveNamespace
    from webhook.runtime.clock import Clock

_MOST = 10_000
"""Namespaces that are remembered: the last ones."""


@dataclass(slots=True)
class _Former:
    """The last namespace of its name that was selected. Times are seconds on the clock."""

    uid: str
    unused_since: float
    terminating_since: float | None = None
    gaps: int = -1
    """How often the watch had been interrupted when it showed that the namespace is terminating."""
    is_deletion_witnessed: bool = False


class FormerNamespaces:
    """What is known of namespaces that no binding selects any more, by their names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Former] = {}

    def add(self, name: str, uid: str) -> None:
        """Record that no binding selects the namespace with this uid any more."""
        self.forget(name)  # so that it counts as the last one
        self._known[name] = _Former(uid, self._clock())
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def forget(self, name: str) -> None:
        """Forget the name: a binding selects a namespace of this name again."""
        self._known.pop(name, None)

    def show(
        self, name: str, before: LiveNamespace | None, shown: LiveNamespace | None, *, watched: bool, gaps: int
    ) -> None:
        """Take in that `shown` is there now and `before` was there until now; None where there is none.

        `watched` is whether a watch in touch showed the change itself. A list, or the first change after a gap,
        only shows how things are. `gaps` counts how often the watch was interrupted.
        """
        one, last = self._known.get(name), shown or before
        if one is None or last is None or one.uid != last.uid:
            return
        if shown is None:
            one.is_deletion_witnessed = watched and one.terminating_since is not None and one.gaps == gaps
            one.unused_since, one.terminating_since = self._clock(), None
            return
        if before is None:  # a list lacked it
            one.unused_since, one.is_deletion_witnessed = self._clock(), False
        if shown.terminating and one.terminating_since is None:
            one.terminating_since, one.gaps = self._clock(), gaps

    def uid(self, name: str) -> str | None:
        """The uid of the last namespace of this name that was selected, where that is known."""
        one = self._known.get(name)
        return one.uid if one else None

    def unused_since(self, name: str) -> float | None:
        """Since when no binding selects it, or, later, since when it is gone; None where that is not known."""
        one = self._known.get(name)
        return one.unused_since if one else None

    def was_deleted(self, name: str, found: LiveNamespace | None) -> bool:
        """Whether the watch witnessed its deletion: this uid, terminating, then gone, in touch throughout.

        `found` is the namespace that has the name now. If it is the same one, the watch was wrong.
        """
        one = self._known.get(name)
        return one is not None and one.is_deletion_witnessed and (found is None or found.uid != one.uid)

    def terminating_for(self, seconds: float) -> list[str]:
        """The namespaces that this replica has seen terminating for at least so long."""
        latest = self._clock() - seconds
        return [
            name
            for name, one in self._known.items()
            if one.terminating_since is not None and one.terminating_since <= latest
        ]
