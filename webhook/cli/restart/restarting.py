"""Restarts: planned by what pods, cluster and account show; a few at a time, each until its rollout ends."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from webhook.cli.restart.restart_plan import PodGroup, RestartOutcome, plan_restarts, what_is_lacking
from webhook.controller.remediation.rollouts import end_of_rollout
from webhook.kube.deployments import DeploymentApi
from webhook.model.control_planes import ControlPlanes
from webhook.model.decisions import wanted_grants
from webhook.model.errors import ClusterError
from webhook.model.names import Subject
from webhook.planning.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from webhook.cli.restart.restart_plan import PlannedRestart
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.controller.ports import Cluster, Deployments, RunningPod
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn
    from webhook.planning.placement import Placement

_STILL_LACKING = "EKS did not give its new pods their identity: see that its pod identity webhook runs"

Outcome = tuple[RestartOutcome, str]
"""The outcome of a step, and why."""


async def plan_restarts_here(here: Session, progress: Progress) -> tuple[list[PlannedRestart], ControlPlanes]:
    """Read pods, cluster and account, and plan for the control planes that were chosen.

    Lists namespaces, ServiceAccounts and pods, gets Deployments, reads trust policies. Raises ClusterError.
    """
    progress.step("listing namespaces and ServiceAccounts")
    cluster = await here.read_cluster()
    progress.step("reading trust policies")
    account = await here.read_account(progress.count)
    grants = wanted_grants(cluster.namespaces.values(), cluster.accounts, here.installation.bindings)
    placed, _ = place(grants, account, here.installation)
    progress.step("listing pods")
    workloads = await _workloads_without_identity(here, placed)
    deployments = await _deployments_of(here, workloads, placed)
    lacking = {
        subject: reason
        for subject in {workload.subject for workload in workloads}
        if (reason := what_is_lacking(placed[subject], cluster.account(subject)))
    }
    patience = here.configuration.reconciler.restart_timeout
    steps = plan_restarts(workloads, deployments, lacking, time.time(), patience)
    return steps, ControlPlanes(cluster.namespaces.values())


async def _workloads_without_identity(here: Session, placed: Mapping[Subject, Placement]) -> list[PodGroup]:
    names = sorted({subject.service_account for subject in placed})
    pods = [pod for name in names for pod in await here.api.pods(name, here.only_namespace)]
    pods = [pod for pod in pods if here.chosen is None or pod.namespace in here.chosen]
    roles = {subject: placement.grant.role_of_pods for subject, placement in placed.items()}
    return _grouped(
        (pod for pod in pods if (subject := _subject(pod)) in roles and pod.lacks(roles[subject])), roles
    )


async def _deployments_of(
    here: Session, workloads: Iterable[PodGroup], placed: Mapping[Subject, Placement]
) -> dict[tuple[str, str], Deployment]:
    """The Deployments that bindings name, by namespace and name."""
    api = DeploymentApi(here.connection)
    found = {}
    for workload in workloads:
        place = (workload.subject.namespace, workload.deployment)
        named = placed[workload.subject].grant.binding.deployments
        if workload.deployment in named and (deployment := await api.get(*place)) is not None:
            found[place] = deployment
    return found


def _grouped(pods: Iterable[RunningPod], roles: Mapping[Subject, RoleArn | None]) -> list[PodGroup]:
    groups: defaultdict[tuple[Subject, str], list[RunningPod]] = defaultdict(list)
    for pod in pods:
        groups[_subject(pod), pod.deployment or ""].append(pod)
    return [
        PodGroup(
            subject,
            name,
            tuple(pod.name for pod in group),
            tuple(pod.created for pod in group),
            roles[subject],
            tuple(sorted({role for pod in group for role in pod.others_than(roles[subject])})),
        )
        for (subject, name), group in groups.items()
    ]


def _subject(pod: RunningPod) -> Subject:
    return Subject(pod.namespace, pod.service_account)


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
                return RestartOutcome.SKIP, step.why
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
            return RestartOutcome.FAILED, str(error)

    async def _restart(self, step: PlannedRestart, deployment: Deployment) -> Outcome:
        if not await self._deployments.restart(deployment, self._clock(), step.workload.role):
            return RestartOutcome.FAILED, "it has changed since the plan: run the command again"
        place = (deployment.namespace, deployment.name)
        ended = await end_of_rollout(self._deployments, *place, self._patience)
        if ended is None:
            return RestartOutcome.FAILED, "it is gone, or was recreated"
        if not ended.is_rolled_out:
            return (
                RestartOutcome.TIMED_OUT,
                f"its new pods are not available after {self._patience:.0f} s: see why",
            )
        subject = step.workload.subject
        pods = await self._cluster.pods(subject.service_account, subject.namespace)
        if any(pod.deployment == deployment.name and pod.lacks(step.workload.role) for pod in pods):
            return RestartOutcome.DID_NOT_HELP, _STILL_LACKING
        return RestartOutcome.ROLLED_OUT, "its new pods have their identity"
