"""Carrying out a withdrawal, in an order in which no pod is given a role that refuses it already.

What is interrupted is continued by the next run, which finds what is left. Leases are deleted last, because they
name roles that no binding has any more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from webhook.aws.association_tags import AssociationTags
from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck
from webhook.cli.locks import role_lock
from webhook.cli.output import short
from webhook.cli.running import to_its_end
from webhook.cli.withdraw.look import MARKS
from webhook.cli.withdraw.rewriting import Rewriting
from webhook.controller.leader_election import leader_lease
from webhook.kube.connection import MERGE_PATCH
from webhook.kube.errors import NotFoundError
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError
from webhook.podidentity.association_writer import CALLS_PER_SECOND, PARALLEL
from webhook.runtime.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from webhook.cli.output import Done
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.cli.withdraw.look import Found
    from webhook.cli.withdraw.plan import Annotated, LeftLease, MarkedDeployment, Withdrawal
    from webhook.coordination.lock import RoleLock
    from webhook.kube.connection import Connection
    from webhook.podidentity.association import Association


async def carry_out(found: Found, progress: Progress, done: Done) -> None:
    """Do all of it, and note it in `done`. Raises ClusterError without the right to take the locks, and AwsError.

    Annotations and associations go before the trust: a pod that is created in between gets no role, and none that
    refuses it.
    """
    here, plan = found.here, found.plan
    lock = await role_lock(here.connection, here.namespace, exists=found.has_namespace)
    if plan.annotations:
        progress.step("removing annotations")
        await _remove_annotations(here, plan.annotations, progress.count, done)
    if plan.associations:
        progress.step("releasing associations" if plan.keeps_access else "deleting associations")
        await _give_up_associations(here, plan, progress.count, done)
    if plan.deployments:
        progress.step("removing notes from Deployments")
        await _remove_marks(here, plan.deployments, progress.count, done)
    if plan.roles:
        progress.step("writing trust policies")
        await _rewrite(found, lock, progress.count, done)
    if found.has_namespace and not (done.failed or plan.problems):
        progress.step("deleting Leases")
        await _delete_leases(found, progress.count, done)


async def _remove_annotations(
    here: Session, annotations: Collection[Annotated], progress: Callable[[str], None], done: Done
) -> None:
    async def remove(one: Annotated) -> str:
        if await here.api.take_annotation(one.subject, one.role):
            return ""
        return "it is there again: another program writes it, such as the chart of Spaces"

    what = {f"{short(one.subject)}: its annotation": partial(remove, one) for one in annotations}
    await _each(what, "annotations removed", progress, done)


async def _remove_marks(
    here: Session, deployments: Collection[MarkedDeployment], progress: Callable[[str], None], done: Done
) -> None:
    patch = {"metadata": {"annotations": dict.fromkeys(MARKS)}}

    async def remove(one: MarkedDeployment) -> str:
        """Its pods stay (patch deployments)."""
        path = f"/apis/apps/v1/namespaces/{one.namespace}/deployments/{one.name}"
        await _unless_gone(here.connection, "PATCH", path, patch, MERGE_PATCH)
        return ""

    what = {f"Deployment {one.namespace}/{one.name}: its notes": partial(remove, one) for one in deployments}
    await _each(what, "Deployments without notes", progress, done)


async def _unless_gone(
    connection: Connection, method: str, path: str, body: dict[str, Any], content_type: str = "application/json"
) -> None:
    """Send a request about an object that may be gone."""
    with suppress(NotFoundError):
        await connection.in_thread(partial(connection.request, method, path, body=body, content_type=content_type))


async def _each(
    what: Mapping[str, Callable[[], Coroutine[Any, Any, str]]],
    words: str,
    progress: Callable[[str], None],
    done: Done,
) -> None:
    """Do all of it, some at a time, each to its end; one that fails answers or raises why."""
    succeeded = 0
    slots = asyncio.Semaphore(PARALLEL)

    async def attempt(name: str, work: Callable[[], Coroutine[Any, Any, str]]) -> None:
        nonlocal succeeded
        async with slots:
            try:
                reason = await to_its_end(work())
            except (ClusterError, AwsError) as error:
                reason = str(error)
        if reason:
            done.failed.append(f"{name}: {reason}")
        else:
            succeeded += 1
        progress(f"{succeeded} of {len(what)}")

    try:
        await asyncio.gather(*(attempt(*item) for item in what.items()))
    finally:
        if succeeded:
            done.written.append(f"{words}: {succeeded}")


async def _give_up_associations(
    here: Session, plan: Withdrawal, progress: Callable[[str], None], done: Done
) -> None:
    owner = here.installation.owner
    if owner is None:
        return
    check = ClusterCheck(here.calls, here.caller, owner.cluster, lambda: here.installation.issuer)
    api, tags = EksAssociations(here.calls, check), AssociationTags(here.calls, check, owner.cluster)
    limiter = RateLimiter("eks", CALLS_PER_SECOND, ceiling=CALLS_PER_SECOND, parallel=PARALLEL)

    async def give_up(one: Association) -> str:
        """It is described once more: what another installation owns since is left alone."""
        async with limiter.turn():
            found = await api.describe(one.id)
            if found is not None and owner.owns(found):
                await (tags.remove(one.id, owner.tags()) if plan.keeps_access else api.delete(one.id))
        return ""

    what = {f"{short(one.subject)}: association {one.id}": partial(give_up, one) for one in plan.associations}
    await _each(what, f"associations {'released' if plan.keeps_access else 'deleted'}", progress, done)


async def _rewrite(found: Found, lock: RoleLock, progress: Callable[[str], None], done: Done) -> None:
    roles, keeps = found.plan.roles, found.plan.keeps_access
    policies = found.here.policies_to_write()
    for number, one in enumerate(roles, 1):
        progress(f"{number} of {len(roles)} roles")
        reason = await Rewriting(one.role, one.own, one.wanted, keeps=keeps).until_shown(policies, lock)
        if reason:
            done.failed.append(f"{one.role}: {reason}")
        else:
            done.written.extend(f"{one.role}: {line}" for line in one.words)


async def _delete_leases(found: Found, progress: Callable[[str], None], done: Done) -> None:
    """Delete them, also those that this run has created; not where the leader's has changed meanwhile."""
    here, leader = found.here, leader_lease(found.here.installation.name)
    before = {one.name: one.version for one in found.plan.leases}
    leases = await found.leases()
    if any(one.name == leader and one.version != before.get(leader) for one in leases):
        done.failed.append(
            f"Leases in {here.namespace}: the leader's has changed, so a replica runs again: end it"
        )
        return

    async def delete(one: LeftLease) -> str:
        """It is an error where it has changed since it was read (delete leases)."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{here.namespace}/leases/{one.name}"
        unchanged = {"preconditions": {"resourceVersion": one.version}}
        await _unless_gone(here.connection, "DELETE", path, unchanged)
        return ""

    what = {f"Lease {here.namespace}/{one.name}": partial(delete, one) for one in leases}
    await _each(what, "Leases deleted", progress, done)
