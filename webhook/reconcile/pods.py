"""Pods that started before their ServiceAccount had its role: they never recover by themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.reconcile.survival import survive
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject

if TYPE_CHECKING:
    from webhook.domain.names import Subject
    from webhook.reconcile.ports import Cluster, RunningPod
    from webhook.reconcile.view import ClusterView
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)


class PodsWithoutIdentity:
    """Finds them, tells of each once, and, while it runs, counts them; it restarts none."""

    def __init__(self, view: ClusterView, cluster: Cluster, events: Events) -> None:
        self._view = view
        self._cluster = cluster
        self._events = events
        self._known: dict[str, RunningPod] = {}
        self._is_running = False
        self._looked = asyncio.Event()

    async def run(self, interval: float) -> None:
        """Look at all pods at start and every `interval` seconds.

        Beside the passes: in a large cluster the list takes long, and no namespace should wait for it.
        """
        await self._view.wait_until_synced()
        self._is_running = True
        try:
            while True:
                await survive("pods_not_found", self.find(), "pods")
                await asyncio.sleep(interval)
        finally:
            self._is_running = False
            self._keep({})

    @property
    def found(self) -> list[RunningPod]:
        """Those of the last look, and of single looks since."""
        return list(self._known.values())

    async def next_look(self) -> None:
        """Wait until all pods have been looked at once more."""
        await self._looked.wait()

    async def find(self) -> None:
        """Look at all pods of bound ServiceAccounts. Raises ClusterError."""
        found = [pod for name in self._view.service_accounts for pod in await self._cluster.pods(name)]
        self._keep(self._report_new(found))
        self._looked.set()
        self._looked = asyncio.Event()

    async def find_of(self, subject: Subject) -> list[RunningPod]:
        """Look at the pods of one ServiceAccount, and answer those without identity. Raises ClusterError."""
        found = await self._cluster.pods(subject.service_account, subject.namespace)
        lacking = self._report_new(found)
        if self._is_running:
            self._keep({uid: pod for uid, pod in self._known.items() if not _is_of(pod, subject)} | lacking)
        return list(lacking.values())

    def _keep(self, known: dict[str, RunningPod]) -> None:
        self._known = known
        metrics.pods_without_identity.set(len(known))

    def _report_new(self, found: list[RunningPod]) -> dict[str, RunningPod]:
        lacking = {pod.uid: pod for pod in found if not pod.has_identity and self._is_bound(pod)}
        for uid, pod in lacking.items():
            if uid not in self._known:
                self._report(pod)
        return lacking

    def _is_bound(self, pod: RunningPod) -> bool:
        grants = self._view.grants_in(pod.namespace)
        return any(grant.subject.service_account == pod.service_account for grant in grants)

    def _report(self, pod: RunningPod) -> None:
        log.warning(
            "pod_without_identity", namespace=pod.namespace, service_account=pod.service_account, pod=pod.name
        )
        self._events.warn(
            EventSubject("Pod", pod.namespace, pod.name, pod.uid),
            "StartedWithoutIdentity",
            f"started before ServiceAccount {pod.service_account} had its AWS role: restart its Deployment, for "
            f"example kubectl rollout restart deployment -n {pod.namespace}",
        )


def _is_of(pod: RunningPod, subject: Subject) -> bool:
    return pod.namespace == subject.namespace and pod.service_account == subject.service_account
