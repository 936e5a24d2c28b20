"""Carrying out a withdrawal, in an order in which no pod is given a role that refuses it already.

What is interrupted is continued by the next run, which finds what is left. Leases are deleted last, because they
name roles that no binding has any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.aws.association_tags import AssociationTags
from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck
from webhook.cli.locks import role_lock
from webhook.cli.output import short
from webhook.cli.running import to_its_end
from webhook.cli.withdraw.leases import delete_lease
from webhook.cli.withdraw.rewriting import Rewriting
from webhook.controller.leader_election import leader_lease
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError
from webhook.podidentity.association_writer import CALLS_PER_SECOND, PARALLEL
from webhook.runtime.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.cli.apply.engine import Done
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.cli.withdraw.look import Found
    from webhook.cli.withdraw.plan import Annotated, RoleRewrite, Withdrawal
    from webhook.podidentity.association import Association


async def carry_out(found: Found, progress: Progress, done: Done) -> None:
    """Do all of it, and note it in `done`. Raises ClusterError without the right to take the locks, and AwsError.

    Annotations and associations go before the trust: a pod that is created in between gets no role, and none that
    refuses it.
    """
    here, plan = found.here, found.plan
    if plan.annotations:
        progress.step("removing annotations")
        await _remove_annotations(here, plan.annotations, progress.count, done)
    if plan.associations:
        progress.step("releasing associations" if plan.keeps_access else "deleting associations")
        await _give_up_associations(here, plan, progress.count, done)
    if plan.roles:
        progress.step("writing trust policies")
        await _rewrite(found, plan.roles, progress.count, done)
    if found.has_namespace and not (done.failed or plan.problems):
        progress.step("deleting Leases")
        await _delete_leases(found, done)


async def _remove_annotations(
    here: Session, annotations: Collection[Annotated], progress: Callable[[str], None], done: Done
) -> None:
    removed = 0
    slots = asyncio.Semaphore(PARALLEL)

    async def remove(one: Annotated) -> None:
        nonlocal removed
        async with slots:
            try:
                is_gone = await to_its_end(here.api.take_annotation(one.subject, one.role))
            except ClusterError as error:
                done.failed.append(f"{short(one.subject)}: its annotation is not removed: {error}")
                return
        if is_gone:
            removed += 1
        else:
            why = "its annotation is there again: another program writes it, such as the chart of Spaces"
            done.failed.append(f"{short(one.subject)}: {why}")
        progress(f"{removed} of {len(annotations)} annotations")

    try:
        await asyncio.gather(*map(remove, annotations))
    finally:
        if removed:
            done.written.append(f"{removed} annotations removed")


async def _give_up_associations(
    here: Session, plan: Withdrawal, progress: Callable[[str], None], done: Done
) -> None:
    owner = here.installation.owner
    if owner is None:
        return
    check = ClusterCheck(here.calls, here.caller, owner.cluster, lambda: here.installation.issuer)
    api, tags = EksAssociations(here.calls, check), AssociationTags(here.calls, check, owner.cluster)
    limiter = RateLimiter("eks", CALLS_PER_SECOND, ceiling=CALLS_PER_SECOND, parallel=PARALLEL)
    ended = 0

    async def give_up(one: Association) -> None:
        """It is described once more: what is somebody else's by now is left alone."""
        nonlocal ended
        async with limiter.turn():
            found = await api.describe(one.id)
            if found is not None and owner.owns(found):
                await (tags.remove(one.id, owner.tags()) if plan.keeps_access else api.delete(one.id))
                ended += 1

    async def attempt(one: Association) -> None:
        try:
            await to_its_end(give_up(one))
        except AwsError as error:
            done.failed.append(f"{short(one.subject)}: association {one.id}: {error}")
        progress(f"{ended} of {len(plan.associations)} associations")

    try:
        await asyncio.gather(*map(attempt, plan.associations))
    finally:
        if ended:
            done.written.append(f"{ended} associations {'released' if plan.keeps_access else 'deleted'}")


async def _rewrite(
    found: Found, roles: Collection[RoleRewrite], progress: Callable[[str], None], done: Done
) -> None:
    here = found.here
    lock = await role_lock(here.connection, here.namespace, exists=found.has_namespace)
    policies = here.policies_to_write()
    for number, one in enumerate(roles, 1):
        progress(f"{number} of {len(roles)} roles")
        keeps = found.plan.keeps_access
        reason = await Rewriting(one.role, one.own, one.wanted, keeps=keeps).until_shown(policies, lock)
        if reason:
            done.failed.append(f"{one.role}: {reason}")
        else:
            done.written.extend(f"{one.role}: {line}" for line in one.words)


async def _delete_leases(found: Found, done: Done) -> None:
    """Delete them, also those that this run has created; not where the leader's has changed meanwhile."""
    here, leader = found.here, leader_lease(found.here.installation.name)
    before = {one.name: one.version for one in found.plan.leases}
    leases = await found.leases()
    if any(one.name == leader and one.version != before.get(leader) for one in leases):
        done.failed.append(
            f"Leases in {here.namespace}: the leader's has changed, so a replica runs again: end it"
        )
        return
    deleted = 0
    try:
        for one in leases:
            try:
                await to_its_end(delete_lease(here.connection, here.namespace, one))
                deleted += 1
            except ClusterError as error:
                done.failed.append(f"Lease {here.namespace}/{one.name}: {error}")
    finally:
        if deleted:
            done.written.append(f"{deleted} Leases deleted")
