"""What operators see of a role's trust policy: how many subjects, how many more fit, a warning in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from webhook.iam.reasons import WAYS_OUT
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn

log = structlog.get_logger(__name__)

NEARLY_FULL = 0.8
"""The part of a quota above which a warning is logged, for trust policies and for associations.

The alerts "nearly full" have the same number (charts/mxp-identity-webhook/files/alerts.yaml).
"""


class PolicyGauges:
    """The gauges of one role's trust policy, and its counters from the start: a rate needs two samples."""

    def __init__(self, role: RoleArn) -> None:
        self._role = role
        self._nearly_full = False
        for counter in (metrics.trust_writes, metrics.trust_repairs, metrics.trust_removals):
            counter.labels(role.value)

    def show(self, policy: TrustPolicy, subjects: int, fit: int, quota: int) -> None:
        """Show the policy as it is now; log once each time that it becomes nearly full.

        `subjects` is how many are trusted, `fit` how many more fit. `quota` is in characters.
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
