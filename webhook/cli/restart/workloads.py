"""Pods without their identity, by the Deployments that they are of."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from webhook.cli.restart.restart_plan import PodGroup, plan_restarts, what_is_lacking
from webhook.kube.deployments import DeploymentApi
from webhook.model.decisions import wanted_grants
from webhook.model.errors import ClusterError
from webhook.model.names import Subject
from webhook.planning.placement import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.cli.restart.restart_plan import PlannedRestart
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.controller.ports import RunningPod
    from webhook.model.decisions import AccountKey
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn
    from webhook.planning.placement import Placement


async def plan_restarts_here(here: Session, namespace: str | None, progress: Progress) -> list[PlannedRestart]:
    """Read pods, cluster and account, and plan; `namespace` is the only one to look for pods in, if given.

    Lists namespaces, ServiceAccounts and pods, gets Deployments, reads trust policies. Raises ClusterError, also
    where the namespace does not exist.
    """
    progress.step("listing namespaces and ServiceAccounts")
    cluster = await here.read_cluster()
    if namespace is not None and namespace not in cluster.namespaces:
        raise ClusterError(f"there is no namespace {namespace}")
    progress.step("reading trust policies")
    account = await here.read_account(progress.count)
    grants = wanted_grants(cluster.namespaces.values(), cluster.accounts, here.installation.bindings)
    placed, _ = place(grants, account, here.installation)
    progress.step("listing pods")
    workloads = await _workloads_without_identity(here, placed, namespace)
    deployments = await _deployments_of(here, workloads, placed)
    lacking = {
        subject: reason
        for subject in {workload.subject for workload in workloads}
        if (reason := what_is_lacking(placed[subject], cluster.accounts.get(_key(subject))))
    }
    patience = here.configuration.reconciler.restart_timeout
    return plan_restarts(workloads, deployments, lacking, time.time(), patience)


async def _workloads_without_identity(
    here: Session, placed: Mapping[Subject, Placement], namespace: str | None
) -> list[PodGroup]:
    names = sorted({subject.service_account for subject in placed})
    pods = [pod for name in names for pod in await here.api.pods(name, namespace)]
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


def _key(subject: Subject) -> AccountKey:
    return subject.namespace, subject.service_account
