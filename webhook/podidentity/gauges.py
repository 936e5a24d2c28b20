"""What operators see of a cluster's associations: how many, how many more fit, a warning in time."""

from __future__ import annotations

import structlog

from webhook.iam.gauges import NEARLY_FULL
from webhook.podidentity.association import QUOTA, associations_that_fit
from webhook.telemetry import metrics

log = structlog.get_logger(__name__)


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
