"""ServiceAccounts by how they match the bindings: counted; one that several bindings select is reported once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from webhook.model.decisions import BindingMatch, binding_match, competing
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_YIELD_EVERY = 200
"""ServiceAccounts counted before the loop may answer reviews again."""


class BindingConflicts:
    """Counts how ServiceAccounts match the bindings, and reports each that is ambiguous once."""

    def __init__(self, cache: ClusterCache, bindings: tuple[Binding, ...], events: Events) -> None:
        self._cache = cache
        self._bindings = bindings
        self._events = events
        self._reported: set[tuple[str, str]] = set()

    async def run(self, interval: float) -> None:
        """Count every `interval` seconds until cancelled; then the counts are zero."""
        try:
            while True:
                await run_and_log("binding_conflicts_not_counted", self._count(), "leader")
                await asyncio.sleep(interval)
        finally:
            _show(Counter())

    async def _count(self) -> None:
        counts: Counter[BindingMatch] = Counter()
        ambiguous: set[tuple[str, str]] = set()
        for number, account in enumerate(self._cache.accounts()):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            match = binding_match(account, self._cache.cached(account.namespace), self._bindings)
            if match is not None:
                counts[match] += 1
            if match is BindingMatch.AMBIGUOUS:
                ambiguous.add((account.namespace, account.name))
                self._report(account)
        self._reported &= ambiguous
        _show(counts)

    def _report(self, account: Account) -> None:
        if (account.namespace, account.name) in self._reported:
            return
        self._reported.add((account.namespace, account.name))
        first, *others = competing(account, self._cache.cached(account.namespace), self._bindings)
        names = ", ".join(other.name for other in others)
        log.warning(
            "ambiguous_binding",
            namespace=account.namespace,
            service_account=account.name,
            binding=first.name,
            others=names,
        )
        self._events.warn(
            EventSubject("ServiceAccount", account.namespace, account.name),
            "AmbiguousBinding",
            f"binding {first.name} decides its AWS role because it comes first, but {names} selects it too: make "
            "their namespaces differ",
        )


def _show(counts: Counter[BindingMatch]) -> None:
    for match in BindingMatch:
        metrics.binding_matches.labels(match.value).set(counts[match])
