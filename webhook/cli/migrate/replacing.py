"""Replacing the pods of a ServiceAccount that changes its way, until none carries the old variables."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from webhook.cli.migrate.rules import obstacle_to_restart
from webhook.cli.migrate.session import lags
from webhook.cli.snapshots.inspection import UNSEEN_SECONDS, Inspection, until_propagated
from webhook.controller.remediation.rollouts import end_of_rollout
from webhook.kube.deployments import DeploymentApi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.cli.migrate.session import MigrationSession
    from webhook.controller.ports import RunningPod
    from webhook.controller.remediation.rollouts import RolloutLimits
    from webhook.model.deployments import Deployment
    from webhook.model.names import Subject

_LOOK_SECONDS = 1.0

_GROWN_UP = 30.0
"""Seconds after which a pod has asked the agent on its node for credentials, if it needs any soon.

The agent keeps them for three hours, and so does the pod (aws/eks-pod-identity-agent, refreshing_cache.go).
"""

_MOST_RESTARTS = 2
"""Of one Deployment in one run: the second for pods created before the change was propagated."""


class Replacing:
    """The pods of one binding's ServiceAccounts."""

    def __init__(self, session: MigrationSession, limits: RolloutLimits) -> None:
        self._api = session.here.api
        self._binding = session.binding
        self._course = session.course
        self._deployments = DeploymentApi(session.here.connection)
        self._inspection = Inspection(session.here.connection)
        self._patience = limits.timeout

    async def propagated(self, subject: Subject) -> str:
        """Wait until a new pod would get the new variables, by dry runs; answers why that is not so, or nothing.

        Without the right to try, it waits: a pod that is created too early on the way to IRSA has no access, on
        the way to Pod Identity it has the old one.
        """
        unseen = UNSEEN_SECONDS if self._course.detaches else 0
        return await until_propagated(self._inspection, subject, self._course.target, unseen)

    async def settled(self, subject: Subject) -> str:
        """Wait until pods can do without their association for a while; answers why they cannot, or nothing.

        They can when all could be replaced at once, no rollout is under way, and each has its credentials.
        """
        until = time.monotonic() + max(self._patience, _GROWN_UP)
        while True:
            pods = [pod for pod in await self._lagging(subject) if not pod.is_being_deleted]
            names = {*self._binding.deployments, *_by_deployment(pods)}
            found = {name: await self._deployment(subject, name) for name in sorted(names)}
            for name in _by_deployment(pods):
                if obstacle := self._obstacle(subject, found[name]):
                    return obstacle
            moving = [name for name, one in found.items() if one and not one.is_rolled_out]
            if not moving and all(time.time() - pod.created >= _GROWN_UP for pod in pods):
                return ""
            if time.monotonic() > until:
                if moving:
                    return f"a rollout of Deployment {', '.join(moving)} has not ended: see why"
                return f"pods younger than {_GROWN_UP:.0f} s keep coming: see why"
            await asyncio.sleep(_LOOK_SECONDS)

    async def replaced(self, subject: Subject) -> str:
        """Restart Deployments until every pod carries the new variables; answers why that is not so, or nothing.

        Pods on their way out count until they are gone: their containers may still run.
        """
        until = time.monotonic() + self._patience
        restarts: Counter[str] = Counter()
        while lagging := await self._lagging(subject):
            if time.monotonic() > until:
                names = ", ".join(sorted(pod.name for pod in lagging))
                return f"after {self._patience:.0f} s pods with the old variables are still there: {names}"
            restarting = (
                self._restart(subject, name, pods, restarts, until)
                for name, pods in _by_deployment(lagging).items()
            )
            if reason := next(filter(None, await asyncio.gather(*restarting)), ""):
                return reason
            await asyncio.sleep(_LOOK_SECONDS)
        return ""

    async def _restart(
        self, subject: Subject, name: str, pods: Sequence[RunningPod], restarts: Counter[str], until: float
    ) -> str:
        """Restart one Deployment, unless its pods are being replaced already, and wait for the rollout."""
        deployment = await self._deployment(subject, name)
        if obstacle := self._obstacle(subject, deployment):
            return obstacle
        if deployment is None:
            return ""
        if not _is_under_way(deployment, pods):
            still_there = {pod.uid for pod in await self._lagging(subject) if not pod.is_being_deleted}
            if still_there.isdisjoint(pod.uid for pod in pods):
                return ""
            if restarts[name] == _MOST_RESTARTS:
                return f"Deployment {name} was restarted, but its new pods do not carry the new variables alone"
            if not await self._deployments.restart(deployment, time.time(), noted=False):
                return ""
            restarts[name] += 1
        left = until - time.monotonic()
        await end_of_rollout(self._deployments, subject.namespace, name, left, noted=False)
        return ""

    async def _lagging(self, subject: Subject) -> list[RunningPod]:
        pods = await self._api.pods_until_gone(subject.service_account, subject.namespace)
        return [pod for pod in pods if lags(pod, self._course.target)]

    async def _deployment(self, subject: Subject, name: str) -> Deployment | None:
        return await self._deployments.get(subject.namespace, name) if name else None

    def _obstacle(self, subject: Subject, deployment: Deployment | None) -> str:
        return obstacle_to_restart(deployment, subject.service_account, self._binding.deployments)


def _by_deployment(pods: Sequence[RunningPod]) -> dict[str, list[RunningPod]]:
    """Those that stay unless they are replaced, by the name of their Deployment; empty for those of none."""
    groups: dict[str, list[RunningPod]] = {}
    for pod in pods:
        if not pod.is_being_deleted:
            groups.setdefault(pod.deployment or "", []).append(pod)
    return groups


def _is_under_way(deployment: Deployment, pods: Sequence[RunningPod]) -> bool:
    """Whether these pods are being replaced by a restart already, be it an external one or an earlier run's."""
    at = deployment.restarted_at
    return not deployment.is_rolled_out and at is not None and all(pod.created < at for pod in pods)
