"""What a pass of the running program would do: read here, planned by its rules, counted by its hourly limit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.controller.leader_election import leader_lease
from webhook.controller.unused import Entry
from webhook.coordination.leases import Lease
from webhook.kube.leases import Leases
from webhook.model.control_planes import ControlPlanes
from webhook.model.errors import ClusterError
from webhook.model.removal import HOUR, Forecast, PruneRules
from webhook.planning.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.coordination.leases import LeaseStore
    from webhook.planning.plan import Plan
    from webhook.planning.snapshot import AccountSnapshot, Installation


async def make_plan_here(here: Session, progress: Progress) -> tuple[Plan, ControlPlanes]:
    """Read cluster and account, and plan; with how many removals a pass of the running program would do."""
    cluster, account = await here.read(progress)
    plan = replace(make_plan(here.installation, cluster, account), is_observed=here.configuration.observe)
    if plan.removals:
        reconciler = here.configuration.reconciler
        rules = PruneRules(reconciler.prune_grace, reconciler.max_removal_fraction)
        store = Leases(here.connection, here.namespace)
        plan = replace(plan, forecast=await forecast(plan, account, here.installation, rules, store))
    return plan, ControlPlanes(cluster.namespaces.values())


async def forecast(
    plan: Plan, account: AccountSnapshot, installation: Installation, rules: PruneRules, store: LeaseStore
) -> Forecast:
    """How many of the removals would wait if the grace of all were over.

    What leaders have removed within the hour, are about to remove, and remove without counting because they
    witnessed the deletion, is in their Lease (get leases); where that cannot be read, nothing is known to be.
    """
    lease = Lease(leader_lease(installation.name), "")
    with suppress(ClusterError):
        lease = await store.get(lease.name) or lease
    removed = sum(count for ago, count in lease.removals if ago < HOUR)
    pending = lease.removing if removed else ()  # no removal has been pending for longer than that
    uncounted = {*pending, *lease.witnessed}
    due = sum(entry.digest not in uncounted for entry in _removed(plan))
    staying = _trusted(account, installation) - (plan.removals - due)
    return Forecast(due, rules.left(staying, removed))


def _removed(plan: Plan) -> Iterator[Entry]:
    for change in plan.roles:
        for item in change.removed:
            yield Entry(change.role, item.subject)
    for gone in plan.associations.removed:
        yield Entry(gone.found.role_arn, gone.found.subject, associated=True)


def _trusted(account: AccountSnapshot, installation: Installation) -> int:
    """How many subjects our statements trust, and managed associations."""
    named = sum(len(policy.subjects(installation.own_in(role))) for role, policy in account.policies.items())
    owner, seen = installation.owner, account.associations
    return named + (sum(map(owner.owns, seen.described.values())) if owner and seen else 0)
