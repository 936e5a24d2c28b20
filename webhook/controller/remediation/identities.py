"""Whether a ServiceAccount has its identity: only then a new pod of it gets one that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.engine.grants import Grants
    from webhook.model.decisions import Grant


class Identities:
    """What retries and restarts ask before they touch anything. It makes no call and changes nothing."""

    def __init__(self, cache: ClusterCache, grants: Grants) -> None:
        self.cache = cache
        self.grants = grants

    def may_be_whole(self, grant: Grant) -> bool:
        """Whether the cluster's part of it is there. While it is not, only a change in the cluster helps."""
        return grant.binding.associates or grant.annotated is not None

    def is_whole(self, grant: Grant) -> bool:
        """Whether it is annotated, and the role that the annotation names is known to trust it.

        In mode pod-identity: whether its association is old enough to be propagated to EKS's webhook.
        """
        if grant.binding.associates:
            return self.grants.is_propagated(grant)
        known = self.grants.known(grant)
        return known is not None and known.role == grant.annotated
