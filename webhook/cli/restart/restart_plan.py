"""Which Deployments `restart` restarts, and why it skips the others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.iam.amendment import Standing
from webhook.model.deployments import RestartDecision, decide_restart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.model.decisions import Account
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.placement import Placement


class RestartOutcome(StrEnum):
    """`what` in documents and tables."""

    RESTART = "restart"
    """It is to be restarted."""
    SKIP = "skip"
    """A restart would not help, or is under way."""
    ROLLED_OUT = "rolled-out"
    TIMED_OUT = "timed-out"
    DID_NOT_HELP = "did-not-help"
    """Its new pods have no identity either."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, order=True)
class PodGroup:
    """Pods without their identity that belong together: of one Deployment, or of none (`deployment` is empty)."""

    subject: Subject
    deployment: str
    pods: tuple[str, ...]
    started: tuple[float, ...]
    """When each pod was created, in seconds since 1970."""
    role: RoleArn | None = None
    """The role that its ServiceAccount's annotation gives to new pods, if that is what gives them one."""
    carried: tuple[str, ...] = ()
    """The roles that its pods carry in place of that one."""


@dataclass(frozen=True, slots=True)
class PlannedRestart:
    """What is done about a workload. `deployment` is the one to restart, or None where it is left alone."""

    workload: PodGroup
    deployment: Deployment | None
    why: str


_LEFT = {
    RestartDecision.UNDER_WAY: "its pods are being replaced already",
    RestartDecision.PAUSED: "its rollouts are paused: resume it first",
    RestartDecision.NOT_OURS: "it now runs as another ServiceAccount",
}
_RESTARTED = {
    RestartDecision.RESTART: "its pods started before the identity was there",
    RestartDecision.TIMED_OUT: "the last restart has not ended in time",
    RestartDecision.DID_NOT_HELP: "the last restart did not help: see that EKS's pod identity webhook runs",
}
_NO_LONGER_NAMED = ", which its ServiceAccount no longer names"
_NOT_TRUSTED = "its role does not trust it: `mxp-identity plan` shows why, `mxp-identity apply` corrects it"

_NOT_KNOWN = "whether its role trusts it could not be read: `mxp-identity plan` shows why"


def plan_restarts(
    workloads: Iterable[PodGroup],
    deployments: Mapping[tuple[str, str], Deployment],
    lacking: Mapping[Subject, str],
    now: float,
    patience: float,
) -> list[PlannedRestart]:
    """What to do about each workload, in order of namespace.

    `deployments` are by namespace and name, `lacking` is what some ServiceAccounts themselves still lack. Unlike
    the running program a person may have a Deployment restarted again.
    """
    return [_step(workload, deployments, lacking, now, patience) for workload in sorted(workloads)]


def _step(
    workload: PodGroup,
    deployments: Mapping[tuple[str, str], Deployment],
    lacking: Mapping[Subject, str],
    now: float,
    patience: float,
) -> PlannedRestart:
    subject = workload.subject
    if (reason := lacking.get(subject)) is not None:
        return PlannedRestart(workload, None, reason)
    deployment = deployments.get((subject.namespace, workload.deployment))
    if deployment is None:
        return PlannedRestart(
            workload, None, "of no Deployment that its binding names: have their owner recreate them"
        )
    judged = deployment.for_role(workload.role)
    noted = judged.restarted_by_us
    # A note further ahead than that is not ours.
    is_late = noted is not None and abs(now - noted) >= patience
    verdict = decide_restart(judged, subject.service_account, workload.started, is_late=is_late)
    if verdict in _LEFT:
        return PlannedRestart(workload, None, _LEFT[verdict])
    if verdict is RestartDecision.RESTART and workload.carried:
        return PlannedRestart(
            workload, deployment, f"its pods run with {', '.join(workload.carried)}{_NO_LONGER_NAMED}"
        )
    return PlannedRestart(workload, deployment, _RESTARTED[verdict])


def what_is_lacking(placement: Placement, account: Account | None) -> str | None:
    """What a ServiceAccount lacks for its new pods to have an identity that works; None where nothing."""
    if placement.grant.binding.associates:
        return None  # EKS alone knows which associations are propagated to its webhook
    if account is None or account.role_annotation != placement.role.value:
        return "its ServiceAccount is not annotated with the role that it gets: `mxp-identity apply` does that"
    if not placement.grant.binding.names_subjects:
        return None
    if placement.verdict is None:
        return _NOT_KNOWN
    return None if placement.verdict.standing in {Standing.KEPT, Standing.EXTERNAL} else _NOT_TRUSTED
