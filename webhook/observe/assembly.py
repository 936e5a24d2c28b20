"""Putting the parts of a program together that only observes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.admission.answers import Answer
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.model.bindings import trusted_roles
from webhook.observe.observer import Observer
from webhook.planning.account import read_associations, read_roles
from webhook.planning.plan import make_plan
from webhook.planning.snapshot import ClusterSnapshot, Installation
from webhook.server.parts import parts_of

if TYPE_CHECKING:
    from webhook.admission.reviews import Request
    from webhook.config.contract import Configuration
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.model.names import IssuerUrl
    from webhook.planning.plan import Plan
    from webhook.server.program import Program


class ObservedReviews:
    """Allows every review at once and changes nothing; the observer finds what would be done about it."""

    may_deny = False
    observes = True

    async def answer(self, request: Request, seconds: float) -> Answer:  # noqa: ARG002  a port's
        """Allow it."""
        return Answer(allowed=True, outcome="observed" if request.is_reviewed else "not_reviewed")


async def assemble_observer(configuration: Configuration) -> Program:
    """The program for a configuration that says `observe: true`, without a call. Needs a running event loop.

    Raises ConfigurationError for what the configuration itself shows, ClusterError without a way to the cluster.
    """
    parts = await parts_of(configuration)
    reconciler, roles = configuration.reconciler, trusted_roles(parts.bindings)
    policies = IamTrustPolicies(parts.calls, parts.caller, AccountQuota(parts.calls))

    async def plan(issuer: IssuerUrl) -> Plan:
        eks = parts.pods.owner.cluster if parts.pods else None
        installation = Installation(parts.installation, issuer, parts.bindings, reconciler.prune_grace, eks)
        account = await read_roles(policies, roles, _unshown)
        if parts.pods:
            account = replace(account, associations=await read_associations(parts.pods.api, _unshown))
        # In a thread: it takes long for thousands, and reviews are answered meanwhile.
        return await asyncio.to_thread(make_plan, installation, snapshot_of(parts.cache), account)

    observer = Observer(parts.cache, parts.issuer, plan, parts.progress)
    return parts.program(ObservedReviews(), {"observer": lambda: observer.run(reconciler.interval)})


def snapshot_of(cache: ClusterCache) -> ClusterSnapshot:
    """The cluster as the watch last showed it."""
    accounts = {(account.namespace, account.name): account for account in cache.accounts()}
    return ClusterSnapshot(cache.namespaces(), accounts, cache.wall_clock())


def _unshown(_: str) -> None:
    """Progress is for commands only."""
