"""Pods that started before their ServiceAccount had its role: they never recover by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject

if TYPE_CHECKING:
    from webhook.domain.names import Subject
    from webhook.reconcile.ports import Cluster, RunningPod
    from webhook.reconcile.view import ClusterView
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)


class PodsWithoutIdentity:
    """Finds them, tells of each once, and counts them; it restarts none."""

    def __init__(self, view: ClusterView, cluster: Cluster, events: Events) -> None:
        self._view = view
        self._cluster = cluster
        self._events = events
        self._known: dict[str, RunningPod] = {}

    async def find(self) -> None:
        """Look at all pods of bound ServiceAccounts. Raises ClusterError."""
        found = [pod for name in self._view.service_accounts for pod in await self._cluster.pods(name)]
        self._known = self._report_new(found)
        metrics.pods_without_identity.set(len(self._known))

    async def find_of(self, subject: Subject) -> None:
        """Look at the pods of one ServiceAccount. Raises ClusterError."""
        found = await self._cluster.pods(subject.service_account, subject.namespace)
        self._known |= self._report_new(found)
        metrics.pods_without_identity.set(len(self._known))

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
