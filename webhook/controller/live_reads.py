"""Reads of the API server beside the watch: of a namespace at a review, and right before a removal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Cluster
    from webhook.model.decisions import LiveNamespace
    from webhook.model.names import Subject
    from webhook.model.removal import Shown
    from webhook.runtime.clock import Clock

_READ_SECONDS = 5.0

_MOST = 10_000
"""Live reads that are remembered: the last ones."""

_FRESH_SECONDS = 10.0
"""Seconds for which a live read of a namespace counts while the watch is out of touch: a write follows within."""


async def read_live(cluster: Cluster, cache: ClusterCache, subject: Subject) -> Shown:
    """The namespace and the ServiceAccount as the API server itself has them now. Raises ClusterError.

    A ServiceAccount of a name that no binding is about is not read: the program has no right to.
    """
    namespace = await cluster.namespace(subject.namespace, _READ_SECONDS)
    if namespace is None or subject.service_account not in cache.service_accounts:
        return namespace, None
    return namespace, await cluster.account(subject, _READ_SECONDS)


@dataclass(frozen=True, slots=True)
class _Read:
    """A namespace that was selected when it was read live; the watch has not shown it as selected since."""

    uid: str
    created: float
    is_ahead: bool
    """Whether the watch had not shown it in this state before the read."""
    fresh_until: float
    """On the clock."""


class LiveReads:
    """The last live reads of namespaces, by their names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reads: dict[str, _Read] = {}

    def record(self, name: str, selected: LiveNamespace | None, shown: LiveNamespace | None) -> None:
        """Take in a read: the namespace where a binding selects it, else None; `shown` is what the watch has."""
        now = self._clock()
        before = self._reads.pop(name, None)
        if selected is not None:
            is_ahead = shown is None or shown.uid != selected.uid or shown.labels != selected.labels
            self._reads[name] = _Read(selected.uid, selected.created, is_ahead, now + _FRESH_SECONDS)
        elif before is not None:
            self._reads[name] = replace(before, fresh_until=now)
        if len(self._reads) > _MOST:
            del self._reads[next(iter(self._reads))]

    def forget(self, name: str) -> None:
        """Forget the read: the watch shows the namespace as selected now."""
        self._reads.pop(name, None)

    def is_fresh(self, name: str) -> bool:
        """Whether a binding selects the namespace by a read so young that a write may rely on it."""
        one = self._reads.get(name)
        return one is not None and self._clock() < one.fresh_until

    def is_ahead(self, name: str) -> bool:
        """Whether a fresh read shows a selected namespace that the watch has not shown yet."""
        one = self._reads.get(name)
        return one is not None and one.is_ahead and self.is_fresh(name)

    def replaced_uid(self, name: str, shown: LiveNamespace | None) -> str | None:
        """The uid of the namespace that was read, where `shown` has replaced it since."""
        one = self._reads.get(name)
        # The watch shows a namespace that was created earlier before it comes to the one that was read.
        if one is None or shown is None or shown.uid == one.uid or shown.created < one.created:
            return None
        return one.uid
