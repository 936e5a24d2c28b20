"""RolloutRetry: a Deployment whose pods are refused tries again while its ServiceAccount has its identity.

With the pod gate on `deny` a ReplicaSet that was refused often waits for up to 16 minutes before it tries again. A
change of its Deployment's own metadata is copied to it, and has it try at once; no running pod is touched.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.controller.reflector import LONGEST_SYNC
from webhook.model.deployments import RETRY_PAUSES, RETRY_ROUND
from webhook.model.errors import ClusterError
from webhook.model.names import Subject
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Deployments
    from webhook.engine.grants import Grants
    from webhook.model.decisions import Grant
    from webhook.model.deployments import Deployment
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
"""Seconds between checks of annotated subjects that no role is known to trust yet; a check costs no call."""

_WAITING_A_SECOND = 1000
"""How many of them are checked a second on average, however many wait."""

_SPACING_SECONDS = 0.02
"""Seconds between reads of Deployments: fifty a second at most, however many wait."""

_FIRST_RETRY = 1.0
"""Seconds until a failed list is tried again; twice as long each time, up to a round."""

_LONGEST_CALL = 300.0
"""Seconds of a call that waits for its turn."""

_YIELD_EVERY = 200
"""ServiceAccounts checked before the loop may answer reviews again."""


class RolloutRetry:
    """Retries each refused Deployment whose ServiceAccount has its identity: at once where the identity is new.

    Each round lists all Deployments of the bound names, because EKS's webhook may have been down. Between the
    rounds a Deployment is read only where an identity has become whole.
    """

    def __init__(
        self,
        cache: ClusterCache,
        grants: Grants,
        deployments: Deployments,
        events: Events,
        progress: Progress | None = None,
    ) -> None:
        self._clock = cache.clock
        self._cache = cache
        self._grants = grants
        self._deployments = deployments
        self._events = events
        self._progress = progress or Progress()
        self._is_running = False
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._whole: set[Subject] = set()
        self._waiting: dict[Subject, None] = {}
        self._episodes: dict[Subject, asyncio.Task[bool]] = {}
        self._retried: dict[str, set[str]] = {}
        """The uids of those retried in the last round and still refused, by their name."""
        self._spacing = asyncio.Lock()
        self._cache.on_change(self._note)

    async def run(self) -> None:
        """Retry until cancelled; may be run again after that."""
        await self._cache.wait_until_synced()
        self._changed.clear()
        self._is_running = True
        try:
            self._adopt_what_is_there()
            async with asyncio.TaskGroup() as tasks:
                for name in {name for binding in self._cache.bindings for name in binding.deployments}:
                    tasks.create_task(self._retry_each_round(name))
                while True:
                    await run_and_log("rollout_retries_failed", self._process_changed(), "pods")
                    await self._something_to_do()
        finally:
            self._is_running = False
            for task in self._episodes.values():
                task.cancel()

    def _note(self, namespace: str) -> None:
        if self._is_running:
            self._changed[namespace] = None
            self._wake.set()

    def _adopt_what_is_there(self) -> None:
        """Count what is annotated already as whole: if its pods are refused, the first round shows it."""
        grants = (grant for name in self._cache.namespaces_with_grants() for grant in self._cache.grants_in(name))
        self._whole = {grant.subject for grant in grants if grant.may_have_identity}
        self._waiting.clear()

    async def _retry_each_round(self, name: str) -> None:
        """Retry all refused Deployments of that name, round after round."""
        pause = _FIRST_RETRY
        while True:
            began = self._clock()
            if await run_and_log("refused_deployments_not_found", self._retry_all_refused(name), "pods"):
                pause = _FIRST_RETRY
                await asyncio.sleep(began + RETRY_ROUND - self._clock())
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_ROUND)

    async def _retry_all_refused(self, name: str) -> None:
        """Retry those whose identity is whole; the others wait until theirs is. Raises ClusterError."""
        with self._progress.step("rollout_retry", LONGEST_SYNC):
            found = await self._deployments.refused(name)
        before, self._retried[name] = self._retried.get(name, set()), set()
        async with asyncio.TaskGroup() as retries:
            for deployment in found:
                subject = Subject(deployment.namespace, deployment.service_account)
                grant = self._cache.grant(subject)
                if grant is None or name not in grant.binding.deployments or subject in self._episodes:
                    continue
                if self._grants.has_identity(grant):
                    await self._next_turn()
                    retry = self._retry(deployment, is_new=deployment.uid not in before)
                    retries.create_task(
                        run_and_log("rollout_retry_failed", retry, "pods", namespace=subject.namespace)
                    )
                    self._retried[name].add(deployment.uid)
                else:
                    self._whole.discard(subject)
                    self._waiting[subject] = None
        self._wake.set()
        if still := len(before & self._retried[name]):
            log.warning("deployments_still_refused", deployment=name, number=still)

    async def _something_to_do(self) -> None:
        if not self._waiting:
            await self._wake.wait()
        await asyncio.sleep(_TICK_SECONDS + len(self._waiting) / _WAITING_A_SECOND)

    async def _process_changed(self) -> None:
        self._wake.clear()
        changed, self._changed = self._changed, {}
        for namespace in changed:
            self._apply_change(namespace)
        for count, subject in enumerate(list(self._waiting)):
            self._begin_where_whole(subject)
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _apply_change(self, namespace: str) -> None:
        grants = {grant.subject: grant for grant in self._cache.grants_in(namespace)}
        for name in self._cache.service_accounts:
            subject = Subject(namespace, name)
            grant = grants.get(subject)
            if grant is not None and subject in self._whole and self._grants.has_identity(grant):
                continue
            self._whole.discard(subject)
            if grant is not None:
                self._waiting[subject] = None

    def _begin_where_whole(self, subject: Subject) -> None:
        grant = self._cache.grant(subject)
        if grant is None or not grant.may_have_identity:
            self._waiting.pop(subject, None)
        elif self._grants.has_identity(grant) and subject not in self._episodes:
            self._waiting.pop(subject, None)
            self._whole.add(subject)
            work = run_and_log(
                "rollout_retry_failed", self._retry_until_made(subject), "pods", namespace=subject.namespace
            )
            task = asyncio.get_running_loop().create_task(work, name=f"retry {subject}")
            self._episodes[subject] = task
            task.add_done_callback(lambda _: self._episodes.pop(subject, None))

    async def _retry_until_made(self, subject: Subject) -> None:
        """Retry the subject's Deployments while they are refused, until the next round takes over."""
        for pause in RETRY_PAUSES:
            await asyncio.sleep(pause)
            grant = self._cache.grant(subject)
            if grant is None or not self._grants.has_identity(grant):
                self._note(subject.namespace)
                return
            try:
                if not await self._retry_refused(grant):
                    return
            except ClusterError as error:
                log.warning("rollout_retry_failed", namespace=subject.namespace, reason=str(error))

    async def _retry_refused(self, grant: Grant) -> bool:
        """Retry those that are refused; False where none is."""
        refused = [one for name in grant.binding.deployments if (one := await self._refused(grant, name))]
        for deployment in refused:
            await self._retry(deployment)
        return bool(refused)

    async def _refused(self, grant: Grant, name: str) -> Deployment | None:
        await self._next_turn()
        with self._progress.step("rollout_retry", _LONGEST_CALL):
            deployment = await self._deployments.get(grant.subject.namespace, name)
        if deployment is None or deployment.service_account != grant.subject.service_account:
            return None
        return deployment if deployment.is_refused else None

    async def _next_turn(self) -> None:
        async with self._spacing:
            await asyncio.sleep(_SPACING_SECONDS)

    async def _retry(self, deployment: Deployment, *, is_new: bool = True) -> None:
        """Retry one, and report it where it `is_new` that it is refused. Raises ClusterError."""
        with self._progress.step("rollout_retry", _LONGEST_CALL):
            is_done = await self._deployments.retry(deployment)
        if not is_done:
            return
        metrics.rollouts_retried.inc()
        if not is_new:
            return
        log.info("rollout_retried", namespace=deployment.namespace, deployment=deployment.name)
        self._events.note(
            EventSubject("Deployment", deployment.namespace, deployment.name, deployment.uid),
            "RolloutRetried",
            f"ServiceAccount {deployment.service_account} has its AWS role now: its pods, which were refused, are "
            "asked for again",
        )
