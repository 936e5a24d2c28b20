"""The pod gate: for which bindings the API server refuses pods that EKS gave no identity.

The chart's policies refuse such a pod only where their parameter, a ServiceAccount, carries the mark of their
binding. The leader writes the mark once every ServiceAccount that the binding selected at the beginning has its
identity. So a program that never starts, or may not write, blocks no pod. A mark belongs to one content of a
binding: a changed binding has another mark and starts over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Untrusted
from webhook.podidentity.association import Need
from webhook.runtime.clock import wait_for
from webhook.runtime.supervision import run_and_log
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import GateMarks
    from webhook.engine.grants import Grants
    from webhook.model.bindings import Binding
    from webhook.model.names import Subject

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
"""Seconds between checks of a ServiceAccount that has no identity yet; a check costs no call."""

_ASSOCIATION_SECONDS = 30.0
"""Seconds that a check waits for an association."""

_REPORTED_AFTER = 60.0
"""Seconds after which the log names the ServiceAccount that the gate waits for."""

_RETRY_SECONDS = 5.0
"""Seconds after which marks that could not be read or written are tried again."""

_LONGEST_KEEPING = 300.0
"""Seconds of two calls that wait for their turn."""


class PodGate:
    """Writes the marks of bindings, each once all its ServiceAccounts had their identity, and keeps them there.

    `marks` are those of the configuration, each with the name of one of the bindings. Other marks are removed:
    they may no longer be true when their binding comes back.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it asks, what it writes, and when
        self,
        cache: ClusterCache,
        grants: Grants,
        stored: GateMarks,
        marks: Mapping[str, str],
        interval: float,
        progress: Progress | None = None,
    ) -> None:
        self._clock = cache.clock
        self._cache = cache
        self._grants = grants
        self._stored = stored
        self._interval = interval
        self._progress = progress or Progress()
        by_name = {binding.name: binding for binding in self._cache.bindings}
        self._bindings = {mark: by_name[name] for mark, name in marks.items()}
        self._complete: set[str] = set()
        """The marks whose bindings are through `_wait_for_all`."""
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Write marks and keep them until cancelled; may be run again after that."""
        await self._cache.wait_until_synced()
        self._complete.clear()
        async with asyncio.TaskGroup() as tasks:
            for mark in self._bindings:
                tasks.create_task(self._wait_for_all(mark))
            while True:
                self._news.clear()
                is_written = await run_and_log("pod_gate_not_kept", self._write_marks(), "pod_gate")
                await wait_for(self._news, self._interval if is_written else _RETRY_SECONDS)

    async def _wait_for_all(self, mark: str) -> None:
        """Wait until each ServiceAccount that the binding selects now has its identity."""
        for subject in self._selected_by(self._bindings[mark]):
            await self._wait_for(subject)
        self._complete.add(mark)
        self._news.set()

    def _selected_by(self, binding: Binding) -> list[Subject]:
        """The subjects whose pods the binding's policy covers, also where an earlier binding decides."""
        return [
            grant.subject
            for name in self._cache.namespaces_with_grants()
            if (namespace := self._cache.cached(name)) and binding.selects(name, namespace.labels)
            for grant in self._cache.grants_in(name)
            if grant.subject.service_account == binding.service_account
        ]

    async def _wait_for(self, subject: Subject) -> None:
        report_at: float | None = self._clock() + _REPORTED_AFTER
        while not await self._settle(subject):
            if report_at is not None and self._clock() >= report_at:
                report_at = None
                log.warning("pod_gate_waits", **subject.log_fields)
            await asyncio.sleep(_POLL_SECONDS)

    async def _settle(self, subject: Subject) -> bool:
        """Obtain its identity. True where EKS gives its pods one, or where this program has none to give."""
        grant = self._cache.grant(subject)
        if grant is None or self._cache.account(subject) is None:
            return True
        if not grant.binding.associates:
            return grant.annotated is not None
        if self._grants.has_identity(grant):
            return True
        outcome = await self._grants.obtain(grant, _ASSOCIATION_SECONDS, Need.SOON)
        if not isinstance(outcome, Untrusted):
            return False
        if outcome.kind is FailureKind.TAKEN:  # its pods get the role of the external association
            return True
        await asyncio.sleep(self._interval)  # asking EKS more often than a pass does changes nothing
        return False

    async def _write_marks(self) -> None:
        """Write the marks of complete bindings, keep those that are there, remove others. Raises ClusterError."""
        with self._progress.step("pod_gate", _LONGEST_KEEPING):
            stored = await self._stored.read()
            wanted = {
                mark: binding.name
                for mark, binding in self._bindings.items()
                if mark in stored or mark in self._complete
            }
            if wanted != stored:
                await self._stored.write(wanted, stored)
        for mark in sorted(wanted.keys() - stored.keys()):
            log.info("pod_gate_refuses", binding=wanted[mark])
