"""Pods without identity: they started before their ServiceAccount had its role, and never get it by themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.controller.reflector import LONGEST_SYNC
from webhook.model.names import Subject
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Cluster, RunningPod
    from webhook.model.names import RoleArn
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_READ_SECONDS = 5.0

_LONGEST_READ = 300.0
"""Seconds of a read that waits for its turn."""


class PodsWithoutIdentity:
    """Finds them, reports each once, and counts them while it runs. It restarts none.

    A pod has its identity where it carries one. If that is a role by the annotation, it must be the one that the
    annotation names now.
    """

    def __init__(
        self, cache: ClusterCache, cluster: Cluster, events: Events, progress: Progress | None = None
    ) -> None:
        self._cache = cache
        self._cluster = cluster
        self._events = events
        self._progress = progress or Progress()
        self._known: dict[str, RunningPod] = {}
        self._is_running = False
        self._checked = asyncio.Event()

    async def run(self, interval: float) -> None:
        """Check all pods at start and every `interval` seconds.

        Beside the reconciler: in a large cluster the list takes long, and no namespace should wait for it.
        """
        await self._cache.wait_until_synced()
        self._is_running = True
        try:
            while True:
                await run_and_log("pods_not_found", self.find(), "pods")
                await asyncio.sleep(interval)
        finally:
            self._is_running = False
            self._keep({})

    @property
    def found(self) -> list[RunningPod]:
        """Those of the last check, and of checks of single ServiceAccounts since."""
        return list(self._known.values())

    async def next_check(self) -> None:
        """Wait until all pods have been checked once more."""
        await self._checked.wait()

    async def find(self) -> None:
        """Check all pods of bound ServiceAccounts. Raises ClusterError."""
        found: list[RunningPod] = []
        for name in self._cache.service_accounts:
            with self._progress.step("pods", LONGEST_SYNC):
                found += await self._cluster.pods(name)
        seen = {pod.uid: pod for pod in found if self._seems_to_lack(pod)}
        known = {uid: pod for uid, pod in seen.items() if uid in self._known}
        self._keep(known | await self._lacking(pod for uid, pod in seen.items() if uid not in known))
        self._checked.set()
        self._checked = asyncio.Event()

    async def find_of(self, subject: Subject) -> list[RunningPod]:
        """Check the pods of one ServiceAccount, and answer those without identity. Raises ClusterError."""
        lacking = await self._lacking(await self._cluster.pods(subject.service_account, subject.namespace))
        if self._is_running:
            self._keep({uid: pod for uid, pod in self._known.items() if _subject(pod) != subject} | lacking)
        return list(lacking.values())

    def _keep(self, known: dict[str, RunningPod]) -> None:
        self._known = known
        metrics.pods_without_identity.set(len(known))

    def _seems_to_lack(self, pod: RunningPod) -> bool:
        """By what the watch last showed of its ServiceAccount."""
        grant = self._cache.grant(_subject(pod))
        return grant is not None and pod.lacks(grant.role_of_pods)

    async def _lacking(self, pods: Iterable[RunningPod]) -> dict[str, RunningPod]:
        """Those that lack their identity; new ones are reported.

        The annotation is read after the pods: they may carry a role that the watch has not shown yet.
        """
        pods = list(pods)
        named: dict[Subject, RoleArn | None] = {}
        for subject in {_subject(pod): None for pod in pods if pod.roles}:
            named[subject] = await self._role_of_pods(subject)
        lacking = {
            pod.uid: pod
            for pod in pods
            if self._cache.grant(_subject(pod)) is not None and pod.lacks(named.get(_subject(pod)))
        }
        self._report_new(lacking, named)
        return lacking

    async def _role_of_pods(self, subject: Subject) -> RoleArn | None:
        """The role of the binding that the annotation names now, where pods get theirs by it."""
        grant = self._cache.grant(subject)
        if grant is None or not grant.binding.annotates:
            return None
        with self._progress.step("pods", _LONGEST_READ):
            account = await self._cluster.account(subject, _READ_SECONDS)
        annotation = account.role_annotation if account else None
        return next((role for role in grant.binding.roles if role.value == annotation), None)

    def _report_new(self, lacking: Mapping[str, RunningPod], named: Mapping[Subject, RoleArn | None]) -> None:
        for uid, pod in lacking.items():
            if uid in self._known:
                continue
            if pod.has_identity:
                self._report_another_role(pod, ", ".join(pod.others_than(named.get(_subject(pod)))))
            else:
                self._report_none(pod)

    def _report_none(self, pod: RunningPod) -> None:
        log.warning("pod_without_identity", **_facts(pod))
        self._warn(
            pod, "StartedWithoutIdentity", f"started before ServiceAccount {pod.service_account} had its AWS role"
        )

    def _report_another_role(self, pod: RunningPod, role: str) -> None:
        log.warning("pod_with_another_role", role_arn=role, **_facts(pod))
        self._warn(pod, "RunsWithAnotherRole", f"runs with {role}, which its ServiceAccount no longer names")

    def _warn(self, pod: RunningPod, reason: str, what: str) -> None:
        self._events.warn(
            EventSubject("Pod", pod.namespace, pod.name, pod.uid),
            reason,
            f"{what}: restart its Deployment, for example kubectl rollout restart deployment -n {pod.namespace}",
        )


def _subject(pod: RunningPod) -> Subject:
    return Subject(pod.namespace, pod.service_account)


def _facts(pod: RunningPod) -> dict[str, str]:
    return {"namespace": pod.namespace, "service_account": pod.service_account, "pod": pod.name}
