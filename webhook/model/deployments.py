"""Deployments of bound ServiceAccounts: which are refused their pods, and which to restart for an identity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.model.names import RoleArn

RETRIED = "mxp-identity/retried-at"
"""Annotation of a Deployment: a change of it is copied to the ReplicaSet, which then tries at once."""

RESTARTED = "mxp-identity/restarted-at"
"""Annotation of a Deployment that this program restarted: it never does so twice for one role by itself."""

RESTARTED_FOR = "mxp-identity/restarted-for"
"""Annotation beside it: the role that its ServiceAccount named then."""

KUBECTL_RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""Annotation of a Deployment's template, as `kubectl rollout restart` sets it."""

RETRY_PAUSES = (1.0, 15.0)
"""Seconds before each retry that follows a new identity; from then on there is one a round.

EKS's webhook knows an annotation within a second, and an association after 5 to 15. One retry at once could be too
early.
"""

RETRY_ROUND = 50.0
"""Seconds from one retry of a Deployment that stays refused to the next: its pods then run within a minute."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment as far as retries and restarts need it. Times are seconds since 1970."""

    namespace: str
    name: str
    uid: str
    version: str
    service_account: str
    wanted: int = 1
    """Pods that it is to have."""
    made: int = 0
    updated: int = 0
    available: int = 0
    is_current: bool = True
    """Whether its status is about its spec as it is now."""
    is_paused: bool = False
    is_failing: bool = False
    """Whether its ReplicaSet could not make a pod (condition ReplicaFailure)."""
    restarted_at: float | None = None
    """When it was restarted last, by us or externally."""
    restarted_by_us: float | None = None
    restarted_for: str | None = None
    """The role that our restart was for, where pods get theirs by the annotation."""

    def for_role(self, role: RoleArn | None) -> Deployment:
        """The Deployment as `decide_restart` judges it for `role`: a restart for another role does not count."""
        if role is None or self.restarted_for in {None, role.value}:
            return self
        return replace(self, restarted_by_us=None)

    @property
    def is_refused(self) -> bool:
        """Whether pods are missing because they could not be made."""
        return self.is_failing or (self.is_current and self.made < self.wanted)

    @property
    def is_rolled_out(self) -> bool:
        """Whether all its pods are of its present template, and available."""
        return self.is_current and {self.made, self.updated, self.available} == {self.wanted}


class RestartDecision(StrEnum):
    """What to do about a Deployment with pods that lack the identity which their ServiceAccount has."""

    RESTART = "restart"
    UNDER_WAY = "under_way"
    """Restarted since those pods started: they are being replaced."""
    TIMED_OUT = "timed_out"
    """Restarted by us, and its rollout has not ended in time."""
    DID_NOT_HELP = "did_not_help"
    """Restarted by us, and pods made since lack an identity too."""
    PAUSED = "paused"
    """Its owner has stopped its rollouts."""
    NOT_OURS = "not_ours"
    """It runs as another ServiceAccount."""


def decide_restart(
    deployment: Deployment, service_account: str, pods_started: Iterable[float], *, is_late: bool
) -> RestartDecision:
    """Decide about a Deployment whose pods without identity started at these times.

    The pods were listed after the Deployment was read. So once it is rolled out they are new ones, whatever the
    clocks that stamped them say. `is_late`: whether a restart of ours has had its time. The annotation does not
    show that, because the Deployment's owner may have written it. RESTART is answered once in the life of a
    Deployment for each role, and never for a pod that any restart is replacing already.
    """
    started = list(pods_started)
    if deployment.service_account != service_account:
        return RestartDecision.NOT_OURS
    if deployment.restarted_by_us is not None:
        if deployment.is_rolled_out or any(moment >= deployment.restarted_by_us for moment in started):
            return RestartDecision.DID_NOT_HELP
        return RestartDecision.TIMED_OUT if is_late else RestartDecision.UNDER_WAY
    if deployment.is_paused:
        return RestartDecision.PAUSED
    if deployment.restarted_at is not None and any(moment < deployment.restarted_at for moment in started):
        return RestartDecision.UNDER_WAY
    return RestartDecision.RESTART
