"""Deployments as retries and restarts need them: refused, made, rolled out, by what EKS knows at the time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.virtual_time import now
from webhook.controller.ports import RunningPod
from webhook.model.deployments import Deployment
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from tests.support.simulated_cluster import SimulatedCluster
    from webhook.model.names import RoleArn, Subject

_LATENCY = 0.02


class SimulatedDeployments:
    """The port Deployments, over the pods of a simulated cluster.

    A new pod has an identity if its ServiceAccount is annotated and `eks_works`. With `gate` one without is
    refused, and asked for again only by a retry. A rollout takes `rollout` seconds; where that is None it never
    ends.
    """

    def __init__(self, cluster: SimulatedCluster, *, gate: bool = False, rollout: float | None = 5.0) -> None:
        self.cluster = cluster
        self.gate = gate
        self.rollout = rollout
        self.eks_works = True
        self.opted_out: set[str] = set()
        """Namespaces whose pods have EKS's webhook skip them."""
        self.objects: dict[tuple[str, str], Deployment] = {}
        self.reads: list[tuple[str, str]] = []
        self.lists: list[str] = []
        self.retries: list[tuple[float, str]] = []
        self.restarts: list[tuple[float, str]] = []
        self.failing: float = 0
        self.refusing_retries: set[str] = set()
        """Namespaces in which the API server refuses them."""
        self.conflicts = 0
        self.most_under_way = 0
        self._under_way = 0
        self._rollouts: set[asyncio.Task[None]] = set()

    def run(self, subject: Subject, name: str | None = None) -> None:
        """Create a Deployment of one pod that runs as the ServiceAccount."""
        key = (subject.namespace, name or subject.service_account)
        self.objects[key] = Deployment(*key, f"uid-{key}", "1", subject.service_account)
        self._make_pod(key)

    def change(self, key: tuple[str, str], **fields: object) -> None:
        """Change fields of a Deployment."""
        self.objects[key] = replace(self.objects[key], **fields)  # type: ignore[arg-type]

    async def get(self, namespace: str, name: str) -> Deployment | None:
        """As the port says."""
        self.reads.append((namespace, name))
        await self._call()
        return self.objects.get((namespace, name))

    async def refused(self, name: str) -> list[Deployment]:
        """As the port says."""
        self.lists.append(name)
        await self._call()
        return [one for one in self.objects.values() if one.name == name and one.is_failing]

    async def retry(self, deployment: Deployment) -> bool:
        """As the port says."""
        await self._call()
        if deployment.namespace in self.refusing_retries:
            raise ClusterError("PATCH deployment: 403 forbidden")
        self.retries.append((now(), deployment.namespace))
        key = (deployment.namespace, deployment.name)
        if self.objects[key].is_failing:
            self._make_pod(key)
        return True

    async def restart(
        self, deployment: Deployment, moment: float, role: RoleArn | None = None, *, noted: bool = True
    ) -> bool:
        """As the port says."""
        await self._call()
        if self.conflicts:
            self.conflicts -= 1
            return False
        key = (deployment.namespace, deployment.name)
        self.restarts.append((now(), deployment.namespace))
        note = {"restarted_by_us": moment, "restarted_for": role.value if role else None} if noted else {}
        self.change(key, restarted_at=moment, updated=0, available=0, **note)
        task = asyncio.get_running_loop().create_task(self._roll_out(key))
        self._rollouts.add(task)
        task.add_done_callback(self._rollouts.discard)
        return True

    async def _roll_out(self, key: tuple[str, str]) -> None:
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        await asyncio.sleep(self.rollout if self.rollout is not None else 1e9)
        self._under_way -= 1
        self._make_pod(key)

    def _make_pod(self, key: tuple[str, str]) -> None:
        """Recreate the pod, or be refused."""
        namespace, name = key
        deployment = self.objects[key]
        account = self.cluster.accounts[deployment.service_account].objects.get(namespace)
        works = self.eks_works and namespace not in self.opted_out
        has_identity = works and account is not None and account.role_annotation is not None
        if self.gate and not has_identity:
            self.change(key, is_failing=True, made=0, updated=0, available=0)
            return
        self.change(key, is_failing=False, made=1, updated=1, available=1)
        uid = f"uid-{namespace}-{name}-{now()}"
        for old in [one.name for one in self.cluster.running.values() if (one.namespace, one.deployment) == key]:
            del self.cluster.running[old]
        pod = f"{namespace}-{name}-{now()}"
        role = account.role_annotation if account and has_identity else None
        roles = frozenset({role} if role else ())
        self.cluster.running[pod] = RunningPod(
            namespace, pod, deployment.service_account, uid, has_identity, now(), name, roles=roles
        )

    async def _call(self) -> None:
        await asyncio.sleep(_LATENCY)
        if self.failing > 0:
            self.failing -= 1
            raise ClusterError("deployments: 503 service unavailable")
