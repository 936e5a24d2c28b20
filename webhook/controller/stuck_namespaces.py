"""Namespaces that are trusted and stay terminating: their trust stays until they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.controller.cluster_cache import ClusterCache

log = structlog.get_logger(__name__)

_LONG = 3600.0
"""Seconds for which a namespace may be terminating before a person should act."""


class StuckNamespaces:
    """Counts them, and logs each once. `is_trusted` answers whether anything in a namespace is."""

    def __init__(self, cache: ClusterCache, is_trusted: Callable[[str], bool]) -> None:
        self._cache = cache
        self._is_trusted = is_trusted
        self._logged: frozenset[str] = frozenset()

    def show(self) -> None:
        """Count them now."""
        stuck = frozenset(name for name in self._cache.former.terminating_for(_LONG) if self._is_trusted(name))
        metrics.namespaces_stuck_terminating.set(len(stuck))
        for name in sorted(stuck - self._logged):
            log.warning(
                "namespace_stuck_terminating",
                namespace=name,
                reason="it has been terminating for more than an hour and is trusted until it is gone: see its "
                "conditions for the finalizer that it waits for",
            )
        self._logged = stuck

    def end(self) -> None:
        """Show none: this replica leads no longer."""
        metrics.namespaces_stuck_terminating.set(0)
        self._logged = frozenset()
