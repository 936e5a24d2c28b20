"""What operators see of a role's trust policy, and of associations: how many, how many more, a warning in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from webhook.domain.associations import QUOTA, associations_that_fit
from webhook.telemetry import metrics
from webhook.trust.reasons import WAYS_OUT

if TYPE_CHECKING:
    from webhook.domain.names import RoleArn
    from webhook.domain.trust_policy import TrustPolicy

log = structlog.get_logger(__name__)

NEARLY_FULL = 0.8
"""The part of the quota above which a person is told, while there is still time to do something."""


class PolicyGauges:
    """The gauges of one role's trust policy, and its counters from the start: a rate needs two samples."""

    def __init__(self, role: RoleArn) -> None:
        self._role = role
        self._nearly_full = False
        for counter in (metrics.trust_writes, metrics.trust_repairs, metrics.trust_removals):
            counter.labels(role.value)

    def show(self, policy: TrustPolicy, subjects: int, fit: int, quota: int) -> None:
        """Show the policy as it is now; say once, each time it becomes nearly full, that it has.

        `subjects` are trusted, `fit` more fit; `quota` is in characters.
        """
        role = self._role.value
        metrics.trust_subjects.labels(role).set(subjects)
        metrics.trust_policy_characters.labels(role).set(policy.size())
        metrics.trust_policy_quota_characters.labels(role).set(quota)
        metrics.trust_subjects_that_fit.labels(role).set(fit)
        before, self._nearly_full = self._nearly_full, policy.size() > NEARLY_FULL * quota
        if self._nearly_full and not before:
            log.warning(
                "trust_policy_nearly_full",
                role_arn=role,
                characters=policy.size(),
                quota_characters=quota,
                subjects_that_fit=fit,
                reason=f"{fit} ServiceAccounts more fit; before then {WAYS_OUT}",
            )


class AssociationGauges:
    """What is shown of a cluster's associations."""

    def __init__(self) -> None:
        self._nearly_full = False
        metrics.association_quota.set(QUOTA)

    def show(self, there: int) -> None:
        """Show how many there are, and say once each time that most of the quota is used, that it is."""
        fit = associations_that_fit(there)
        metrics.associations.set(there)
        metrics.associations_that_fit.set(fit)
        before, self._nearly_full = self._nearly_full, there > NEARLY_FULL * QUOTA
        if self._nearly_full and not before:
            reason = (
                f"{fit} more fit into the cluster; the quota cannot be raised: put further control planes into "
                "another cluster, or bind them in mode irsa"
            )
            log.warning("associations_nearly_full", associations=there, quota=QUOTA, reason=reason)
