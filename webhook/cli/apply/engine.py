"""Carrying out a plan: additions, repairs, associations and annotations, and the removals that were approved."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cli.locks import role_lock
from webhook.cli.output import Done, short
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.controller.live_reads import read_live
from webhook.engine.build import Engine, build_engine
from webhook.model.aws_errors import AwsError
from webhook.model.bindings import service_accounts, trusted_roles
from webhook.model.errors import ClusterError
from webhook.model.outcomes import Outcome, Trusted, TrustSource
from webhook.podidentity.associations import Associations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from webhook.cli.snapshots.session import Session
    from webhook.controller.ports import Cluster
    from webhook.iam.ports import TrustPolicies
    from webhook.iam.role_writer import RoleWriter
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.association_plan import Dissociating
    from webhook.planning.plan import Annotating, Plan, RoleChange
    from webhook.server.pod_identity import PodIdentity

PATIENCE = 120.0
"""Seconds that a role is tried for: the lock of a dead process is free after 10."""

_SECONDS_EACH = 0.1
"""More for each: an association takes one or two calls, at 20 a second to begin with."""

_NOT_SELECTED = "no binding selects it"

_LOOK_SECONDS = 1.0
_LOOK_PATIENCE = 15.0
"""Seconds for all roles to be read; the lock of a dead process takes 10 of them."""


@dataclass(frozen=True, slots=True)
class Applier:
    """Carries out a plan: the running program's parts over a mirror of the cluster, and what they have done."""

    cluster: Cluster
    policies: TrustPolicies
    cache: ClusterCache
    engine: Engine[DesiredState]
    done: Done = field(default_factory=Done)


@asynccontextmanager
async def open_applier(
    here: Session,
    done: Done,
    own_in: Callable[[RoleArn], OwnStatement] | None = None,
    pods: PodIdentity | None = None,
) -> AsyncIterator[Applier]:
    """One writer for each role of the bindings; at the end, also after Ctrl-C, writes under way are finished.

    `own_in` are our statements in a role where they are not the installation's own, and `pods` associates where
    its bindings do not. What is done is noted in `done`, which so outlives an error. Raises ClusterError without
    the right to take the locks.
    """
    installation, cache = here.installation, cluster_cache(here)
    lock = await role_lock(here.connection, here.namespace)
    calls, own_in = here.calls_to_write(), own_in or installation.own_in
    pods, quota = pods or here.pods_to_write(calls), AccountQuota(calls)

    def policies_of(role: RoleArn) -> IamTrustPolicies:
        return IamTrustPolicies(calls, pods.cluster if pods and own_in(role).pods else here.caller, quota)

    engine = build_engine(
        trusted_roles(installation.bindings),
        own_in,
        policies_of,
        lock,
        partial(DesiredState, cache),
        partial(Associations, pods.api, pods.owner) if pods else None,
    )
    async with applier_over(engine, here.api, here.policies, cache, done) as applier:
        yield applier


def cluster_cache(here: Session) -> ClusterCache:
    """A mirror of the cluster for what a command writes; `applier_over` runs it."""
    installation = here.installation
    return ClusterCache(
        installation.bindings,
        here.api.namespaces(),
        {name: here.api.service_accounts(name) for name in service_accounts(installation.bindings)},
        wall_clock=time.time,
        grace=installation.grace,
    )


@asynccontextmanager
async def applier_over(
    engine: Engine[DesiredState], cluster: Cluster, policies: TrustPolicies, cache: ClusterCache, done: Done
) -> AsyncIterator[Applier]:
    """The same over an engine that was built; `cache` mirrors the cluster inside the `async with`."""
    mirror = asyncio.create_task(cache.run())
    try:
        await cache.wait_until_synced()
        yield Applier(cluster, policies, cache, engine, done)
    finally:
        await engine.grants.close()
        mirror.cancel()


async def add_and_repair(applier: Applier, plan: Plan, progress: Callable[[str], None]) -> None:
    """Write what the plan adds and repairs, create and repair associations, and write the annotations."""
    subjects = {change.subject for role in plan.roles for change in role.added}
    subjects |= {item.subject for item in plan.annotations}
    associating = [*plan.associations.made, *plan.associations.repaired]
    subjects |= {item.subject for item in associating}
    outcomes, _ = await asyncio.gather(
        obtain(applier, subjects, progress),
        asyncio.gather(*(_repair(applier, change) for change in plan.roles if change.is_repaired or change.pods)),
    )
    if associated := note_untrusted(applier.done, (item.subject for item in associating), outcomes):
        applier.done.written.append(f"associations created or repaired: {len(associated)}")
    await asyncio.gather(*(_confirm_additions(applier, change, outcomes) for change in plan.roles if change.added))
    await asyncio.gather(*(_annotate(applier, item, outcomes.get(item.subject)) for item in plan.annotations))


async def remove(applier: Applier, plan: Plan, progress: Callable[[str], None]) -> None:
    """Remove the subjects that the plan removes, where the API server, asked again, does not want them either."""
    progress("looking up each ServiceAccount again")
    await _look_at_all_roles(applier)
    await asyncio.gather(*(_remove_from(applier, change) for change in plan.roles if change.removed))
    await asyncio.gather(*(_dissociate(applier, item) for item in plan.associations.removed))


async def obtain(
    applier: Applier, subjects: Iterable[Subject], progress: Callable[[str], None]
) -> dict[Subject, Outcome]:
    """Have each trusted or associated, as its binding wants; what no binding selects is left out."""
    grants = {subject: grant for subject in subjects if (grant := applier.cache.grant(subject))}
    outcomes: dict[Subject, Outcome] = {}

    async def obtain(subject: Subject) -> None:
        outcomes[subject] = await applier.engine.grants.obtain(
            grants[subject], PATIENCE + len(grants) * _SECONDS_EACH
        )
        progress(f"{len(outcomes)} of {len(grants)} ServiceAccounts")

    try:
        await asyncio.gather(*(obtain(subject) for subject in grants))
    except BaseException:  # Ctrl-C too
        if there := sum(isinstance(outcome, Trusted) for outcome in outcomes.values()):
            applier.done.written.append(f"{there} of {len(grants)} ServiceAccounts trusted or associated")
        raise
    return outcomes


def note_untrusted(
    done: Done, subjects: Iterable[Subject], outcomes: Mapping[Subject, Outcome], what: str = ""
) -> dict[Subject, Trusted]:
    """Note why ServiceAccounts got no role, after `what`; answers the outcomes of those that got one."""
    trusted: dict[Subject, Trusted] = {}
    for subject in subjects:
        outcome = outcomes.get(subject)
        if isinstance(outcome, Trusted):
            trusted[subject] = outcome
        else:
            done.failed.append(f"{short(subject)}: {what}{outcome.reason if outcome else _NOT_SELECTED}")
    return trusted


async def _repair(applier: Applier, change: RoleChange) -> None:
    """Have our statements repaired, and wait until IAM shows it.

    The writer waits too where a read may be older than its last write.
    """
    if await written_until_shown(applier, change.role, lambda policy: policy.is_whole(change.own)):
        if change.is_repaired:
            applier.done.written.append(f"{change.role}: our statement is repaired")
        for one in change.pods:
            applier.done.written.append(
                f"{change.role}: statement {one.sid} allows EKS for the pods of {one.binding}"
            )


async def _dissociate(applier: Applier, item: Dissociating) -> None:
    """Delete a managed association, where the API server, asked again, does not want it either."""
    subject = item.found.subject
    name = short(subject)
    try:
        live = await read_live(applier.cluster, applier.cache, subject)
        desired, associations = applier.engine.desired, applier.engine.associations
        if desired.removal_reason(item.found.role_arn, subject, associated=True, live=live) is None:
            applier.done.failed.append(f"{name}: association {item.found.id} is kept, because it is wanted now")
        elif associations and await associations.remove(subject):
            applier.done.written.append(f"{name}: association {item.found.id} deleted")
    except (ClusterError, AwsError) as error:
        applier.done.failed.append(f"{name}: association {item.found.id} not deleted: {error}")


async def written_until_shown(applier: Applier, role: RoleArn, is_there: Callable[[TrustPolicy], bool]) -> bool:
    """Have the writer work until IAM shows what should be there; False, with the reason noted, if it does not."""
    if reason := await write_until(applier.engine.writers[role], applier.policies, is_there):
        applier.done.failed.append(f"{role}: {reason}")
    return not reason


async def write_until(writer: RoleWriter, policies: TrustPolicies, is_there: Callable[[TrustPolicy], bool]) -> str:
    """Have the writer work until IAM shows what should be there; answers why it does not, or nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            await writer.wait_until_synced()
            while not writer.needs_a_person and not is_there(await policies.read(writer.role)):
                writer.enqueue()
                await asyncio.sleep(_LOOK_SECONDS)
    except (AwsError, TimeoutError) as error:
        return writer.trouble.reason if writer.trouble else str(error) or f"not within {PATIENCE:.0f} s"
    return writer.trouble.reason if writer.needs_a_person and writer.trouble else ""


async def _confirm_additions(applier: Applier, change: RoleChange, outcomes: dict[Subject, Outcome]) -> None:
    """Wait until IAM shows the added: what a Lease calls written may have been removed externally since."""
    trusted = note_untrusted(applier.done, (item.subject for item in change.added), outcomes)
    sources = {TrustSource.WRITTEN, TrustSource.ALREADY}
    ours = {subject for subject, one in trusted.items() if one.role == change.role and one.source in sources}
    if ours and await written_until_shown(
        applier, change.role, lambda policy: ours <= policy.subjects(change.own)
    ):
        applier.done.written.append(f"{change.role}: {len(ours)} added")


async def _annotate(applier: Applier, item: Annotating, outcome: Outcome | None) -> None:
    name = short(item.subject)
    grant = applier.cache.grant(item.subject)
    if outcome is None or grant is None:
        applier.done.failed.append(f"{name}: {_NOT_SELECTED}")
        return
    if grant.annotated is not None and not isinstance(outcome, Trusted):
        applier.done.failed.append(f"{name}: its annotation is kept: {outcome.reason}")
        return
    try:
        if await applier.cluster.annotate(item.subject, outcome.role, item.replacing):
            applier.done.written.append(f"{name}: annotated with {outcome.role}")
        elif await _is_annotated(applier, item.subject, outcome.role):
            applier.done.written.append(f"{name}: annotated with {outcome.role}, by the running program")
        else:
            applier.done.failed.append(f"{name}: not annotated, it has changed since it was read")
    except ClusterError as error:
        applier.done.failed.append(f"{name}: not annotated: {error}")


async def _is_annotated(applier: Applier, subject: Subject, role: RoleArn) -> bool:
    _, account = await read_live(applier.cluster, applier.cache, subject)
    return account is not None and account.role_annotation == role.value


async def _look_at_all_roles(applier: Applier) -> None:
    """Trust in another role of the binding decides too; a role that does not answer trusts no subject."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_PATIENCE):
            await asyncio.gather(*(writer.wait_until_synced() for writer in applier.engine.writers.values()))


async def _remove_from(applier: Applier, change: RoleChange) -> None:
    asked = await asyncio.gather(*(_confirm_unused(applier, change.role, item.subject) for item in change.removed))
    unused = {item.subject for item, is_unused in zip(change.removed, asked, strict=True) if is_unused}
    if not unused:
        return
    applier.engine.writers[change.role].approve_removals(unused)
    if await written_until_shown(
        applier, change.role, lambda policy: unused.isdisjoint(policy.subjects(change.own))
    ):
        applier.done.written.append(f"{change.role}: {len(unused)} removed")


async def _confirm_unused(applier: Applier, role: RoleArn, subject: Subject) -> bool:
    """Whether it is unused by the live namespace and ServiceAccount too; notes why it is kept otherwise."""
    name = short(subject)
    try:
        live = await read_live(applier.cluster, applier.cache, subject)
    except ClusterError as error:
        applier.done.failed.append(f"{name}: not removed, because it could not be looked up: {error}")
        return False
    if applier.engine.desired.removal_reason(role, subject, live=live) is None:
        applier.done.failed.append(f"{name}: not removed, because it is wanted now")
        return False
    return True
