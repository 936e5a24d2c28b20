"""Restarting Deployments while the command waits: a few at a time, each until its rollout has ended."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from webhook.controller.remediation.rollouts import end_of_rollout
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.cli.restart.restart_plan import PlannedRestart
    from webhook.cli.running import Progress
    from webhook.controller.ports import Cluster, Deployments
    from webhook.model.deployments import Deployment

_STILL_LACKING = "EKS did not give its new pods their identity: see that its pod identity webhook runs"

Outcome = tuple[str, str]
"""The outcome of a step, in a word or two, and why."""


class Restarting:
    """Does the steps that restart a Deployment. `patience` is how many seconds a rollout may take.

    Interrupted, rollouts continue in the cluster; a later plan shows them as under way.
    """

    def __init__(
        self,
        cluster: Cluster,
        deployments: Deployments,
        patience: float,
        progress: Progress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._deployments = deployments
        self._patience = patience
        self._progress = progress
        self._clock = clock
        self._ended = 0

    async def do(self, steps: Sequence[PlannedRestart], at_a_time: int) -> list[Outcome]:
        """The outcome of each step, in their order. One that fails does not keep the others from being done."""
        slots = asyncio.Semaphore(at_a_time)
        total = sum(step.deployment is not None for step in steps)
        self._progress.step(f"restarting {total} Deployments, {at_a_time} at a time")

        async def do(step: PlannedRestart) -> Outcome:
            if step.deployment is None:
                return "skip", step.why
            async with slots:
                outcome = await self._do(step, step.deployment)
            self._ended += 1
            self._progress.count(f"{self._ended} of {total} rollouts have ended", self._ended, total)
            return outcome

        return await asyncio.gather(*(do(step) for step in steps))

    async def _do(self, step: PlannedRestart, deployment: Deployment) -> Outcome:
        try:
            return await self._restart(step, deployment)
        except ClusterError as error:
            return "failed", str(error)

    async def _restart(self, step: PlannedRestart, deployment: Deployment) -> Outcome:
        if not await self._deployments.restart(deployment, self._clock(), step.workload.role):
            return "failed", "it has changed since the plan: run the command again"
        place = (deployment.namespace, deployment.name)
        ended = await end_of_rollout(self._deployments, *place, self._patience)
        if ended is None:
            return "failed", "it is gone, or was recreated"
        if not ended.is_rolled_out:
            return "timed out", f"its new pods are not available after {self._patience:.0f} s: see why"
        subject = step.workload.subject
        pods = await self._cluster.pods(subject.service_account, subject.namespace)
        if any(pod.deployment == deployment.name and pod.lacks(step.workload.role) for pod in pods):
            return "did not help", _STILL_LACKING
        return "rolled out", "its new pods have their identity"
