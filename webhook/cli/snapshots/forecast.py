"""How many of a plan's removals the running program does, by its limit of an hour."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from webhook.controller.leader_election import leader_lease
from webhook.controller.unused import Entry
from webhook.coordination.leases import Lease
from webhook.model.errors import ClusterError
from webhook.model.removal import HOUR, Forecast, PruneRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.coordination.leases import LeaseStore
    from webhook.planning.plan import Plan
    from webhook.planning.snapshot import AccountSnapshot, Installation


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
