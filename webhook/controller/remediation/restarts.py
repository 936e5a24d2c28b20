"""Restarts: Deployments whose pods lack the identity that their ServiceAccount has, a few at a time.

A pod gets its identity when it is created and never later, so those pods must be recreated. A restart is noted in
the Deployment itself, where a later leader reads it: none is restarted twice for one role.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.controller.remediation.rollouts import RestartPauses, end_of_rollout
from webhook.model.deployments import RestartDecision, decide_restart
from webhook.model.names import Subject
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Deployments, RunningPod
    from webhook.controller.remediation.pods import PodsWithoutIdentity
    from webhook.controller.remediation.rollouts import RolloutLimits
    from webhook.engine.grants import Grants
    from webhook.model.decisions import Grant
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_TRIES = 3
"""How often a Deployment that changes between read and write is read again in one round."""

_LONGEST_CALLS = 600.0
"""Seconds of a few calls that wait for their turn."""

_FOR_A_PERSON = {
    RestartDecision.TIMED_OUT: "was restarted to get its AWS identity, but its rollout has not ended: see why its "
    "new pods do not become available",
    RestartDecision.DID_NOT_HELP: "was restarted, but its new pods do not have their AWS identity either: see "
    "whether EKS's pod identity webhook runs, then restart it by hand",
    RestartDecision.PAUSED: "has pods without their AWS identity, but its rollouts are paused: resume it, then "
    "restart it",
}


@dataclass(frozen=True, slots=True)
class _Case:
    """A Deployment whose pods lack their identity, what to do about it, and the role that they are to carry."""

    decision: RestartDecision
    deployment: Deployment
    role: RoleArn | None


class Restarts:
    """After each check of the pods, restarts the Deployments of pods without identity, where it is there now.

    The next restart begins when a rollout has ended, or has taken too long. That counts from when this process
    first saw it, so that what an owner writes into a Deployment delays no other.

    `wall_clock` answers seconds since 1970.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it asks, what it writes, and how fast
        self,
        pods: PodsWithoutIdentity,
        cache: ClusterCache,
        grants: Grants,
        deployments: Deployments,
        events: Events,
        limits: RolloutLimits,
        wall_clock: Callable[[], float],
        progress: Progress | None = None,
    ) -> None:
        self._pods = pods
        self._grants = grants
        self._cache = cache
        self._deployments = deployments
        self._events = events
        self._limits = limits
        self._wall_clock = wall_clock
        self._clock = cache.clock
        self._progress = progress or Progress()
        self._reported: dict[tuple[str, str], tuple[RestartDecision, RoleArn | None]] = {}
        self._began: dict[tuple[str, str], float] = {}
        """When this process first saw a rollout of ours, on the clock."""
        self._pauses = RestartPauses(limits.timeout)

    async def run(self) -> None:
        """Restart until cancelled; a rollout that is under way then continues without us."""
        while True:
            await self._pods.next_check()
            await run_and_log("restarts_failed", self._round(), "pods")

    async def _round(self) -> None:
        waiting = deque(_workloads(self._pods.found))
        lacking = {(subject.namespace, name) for subject, name in waiting}
        self._reported = {key: one for key, one in self._reported.items() if key in lacking}
        self._began = {key: began for key, began in self._began.items() if key in lacking}
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._limits.at_a_time):
                tasks.create_task(self._work_off(waiting))

    async def _work_off(self, waiting: deque[tuple[Subject, str]]) -> None:
        while waiting:
            subject, name = waiting.popleft()
            if not self._pauses.is_over(subject.namespace, self._clock()):
                continue
            work = self._restart_and_wait(subject, name)
            await run_and_log("restart_failed", work, "pods", namespace=subject.namespace, deployment=name)

    async def _restart_and_wait(self, subject: Subject, name: str) -> None:
        grant = self._cache.grant(subject)
        in_vain = (RestartDecision.DID_NOT_HELP, grant.role_of_pods if grant else None)
        if self._reported.get((subject.namespace, name)) == in_vain:
            return
        for _ in range(_TRIES):
            case = await self._decide(subject, name)
            if case is None:
                return
            if case.decision is RestartDecision.RESTART:
                with self._progress.step("restarts", _LONGEST_CALLS):
                    is_done = await self._deployments.restart(case.deployment, self._wall_clock(), case.role)
                if not is_done:
                    continue
                self._began[subject.namespace, name] = self._clock()
                self._report_restarted(case.deployment)
            elif case.decision is not RestartDecision.UNDER_WAY or case.deployment.restarted_by_us is None:
                self._report_decision(case.deployment, case.decision, case.role)
                return
            await self._wait_for_rollout(subject, name)
            return

    async def _decide(self, subject: Subject, name: str) -> _Case | None:
        """What to do, by what is there now; None where no pod lacks an identity that its ServiceAccount has."""
        if self._whole_grant(subject, name) is None:
            return None
        with self._progress.step("restarts", _LONGEST_CALLS):
            deployment = await self._deployments.get(subject.namespace, name)
            lacking = await self._pods.find_of(subject)
        # It is asked again after the reads: the role that the pods lack has to be the one that trusts them.
        grant = self._whole_grant(subject, name)
        if deployment is None or grant is None:
            return None
        role = grant.role_of_pods
        started = [pod.created for pod in lacking if pod.deployment == name and pod.lacks(role)]
        if not started:
            return None
        judged = deployment.for_role(role)
        if judged.restarted_by_us is None:
            self._began.pop((subject.namespace, name), None)
        is_late = self._clock() >= self._deadline_from_first_sight(subject, name)
        return _Case(decide_restart(judged, subject.service_account, started, is_late=is_late), deployment, role)

    def _deadline_from_first_sight(self, subject: Subject, name: str) -> float:
        """Until when a rollout there may take; it is first seen now, if it was not before."""
        return self._began.setdefault((subject.namespace, name), self._clock()) + self._limits.timeout

    def _whole_grant(self, subject: Subject, name: str) -> Grant | None:
        """The subject's grant, where its binding names the Deployment and its identity is there."""
        grant = self._cache.grant(subject)
        if grant is None or name not in grant.binding.deployments or not self._grants.has_identity(grant):
            return None
        return grant

    async def _wait_for_rollout(self, subject: Subject, name: str) -> None:
        """Wait until a rollout of ours has ended or has taken too long, and report what came of it."""
        seconds = self._deadline_from_first_sight(subject, name) - self._clock()
        deployment = await end_of_rollout(self._deployments, subject.namespace, name, seconds)
        if deployment is None:
            self._pauses.failed(subject.namespace, self._clock())
            return
        case = await self._decide(subject, name)
        decision, role = (case.decision, case.role) if case else (RestartDecision.NOT_OURS, None)
        if decision is not RestartDecision.DID_NOT_HELP and deployment.is_rolled_out:
            self._pauses.helped(subject.namespace)
            metrics.deployments_restarted.labels("rolled_out").inc()
            log.info("rollout_ended", namespace=subject.namespace, deployment=name)
            return
        if decision is RestartDecision.DID_NOT_HELP:
            self._pauses.did_not_help(subject.namespace, self._clock())
        else:
            self._pauses.failed(subject.namespace, self._clock())
            decision = RestartDecision.TIMED_OUT
        metrics.deployments_restarted.labels(decision.value).inc()
        self._report_decision(deployment, decision, role)

    def _report_restarted(self, deployment: Deployment) -> None:
        log.info("deployment_restarted", namespace=deployment.namespace, deployment=deployment.name)
        self._events.note(
            _event_subject(deployment),
            "RestartedForIdentity",
            f"restarted: its pods started before ServiceAccount {deployment.service_account} had the AWS "
            "role that it has now",
        )

    def _report_decision(self, deployment: Deployment, decision: RestartDecision, role: RoleArn | None) -> None:
        """Report once what only a person can fix."""
        key = (deployment.namespace, deployment.name)
        if decision not in _FOR_A_PERSON or self._reported.get(key) == (decision, role):
            return
        self._reported[key] = decision, role
        facts = {"namespace": deployment.namespace, "deployment": deployment.name, "outcome": decision.value}
        log.warning("deployment_not_restarted", reason=_FOR_A_PERSON[decision], **facts)
        self._events.warn(_event_subject(deployment), "NotRestartedForIdentity", _FOR_A_PERSON[decision])


def _workloads(pods: Iterable[RunningPod]) -> list[tuple[Subject, str]]:
    """The Deployments of these pods, in an order that every leader shares."""
    found = {
        (Subject(pod.namespace, pod.service_account), pod.deployment) for pod in pods if pod.deployment is not None
    }
    return sorted(found)


def _event_subject(deployment: Deployment) -> EventSubject:
    return EventSubject("Deployment", deployment.namespace, deployment.name, deployment.uid)
