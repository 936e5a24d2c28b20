"""Carrying out an adoption: one write for each role, under its lock, and one tag for each association.

The running program's own writer does it, so nothing is lost that a replica has just written. Right before each
write it is judged once more by what the cluster shows then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.association_tags import AssociationTags
from webhook.cli.adopt.rules import objection, relying_on
from webhook.cli.apply.engine import applier_over, cluster_cache, written_until_shown
from webhook.cli.locks import role_lock
from webhook.cli.output import Done, short
from webhook.cli.running import to_its_end
from webhook.controller.desired_state import DesiredState
from webhook.engine.build import build_engine
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.removal import removal_reason
from webhook.podidentity.association_writer import CALLS_PER_SECOND, PARALLEL
from webhook.runtime.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from webhook.cli.adopt.planning import Adoption
    from webhook.cli.adopt.rules import AdoptingStatement, RoleAdoption
    from webhook.cli.apply.engine import Applier
    from webhook.cli.snapshots.session import Session
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.coordination.lock import RoleLock
    from webhook.engine.build import Engine
    from webhook.iam.policy_cache import PolicyCache
    from webhook.iam.ports import TrustPolicies
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association
    from webhook.server.pod_identity import PodIdentity


async def adopt(here: Session, plan: Adoption, progress: Callable[[str], None], done: Done) -> None:
    """Do all of it, one role after the other, and note what was done and what was not.

    Raises ClusterError, AwsError.
    """
    roles = [role for role in plan.roles if role.has_changes]
    if roles:
        cache, lock = cluster_cache(here), await role_lock(here.connection, here.namespace)
        engine = adopting_engine(cache, here.policies_to_write(), lock, roles)
        async with applier_over(engine, here.api, here.policies, cache, done) as applier:
            for number, role in enumerate(roles, 1):
                progress(f"{number} of {len(roles)} roles")
                await adopt_in(applier, role)
    calls = here.calls_to_write()
    pods = here.pods_to_write(calls) if plan.tagged else None
    if pods is not None:
        tags = AssociationTags(calls, pods.cluster, pods.owner.cluster)
        await tag_all(pods, tags, plan.tagged, progress, done)


async def tag_all(
    pods: PodIdentity,
    tags: AssociationTags,
    associations: Sequence[Association],
    progress: Callable[[str], None],
    done: Done,
) -> None:
    """Have each association carry the tags of managed ones, unless it has changed since it was read."""
    limiter = RateLimiter("eks", CALLS_PER_SECOND, ceiling=CALLS_PER_SECOND, parallel=PARALLEL)
    tagged = 0

    async def tag(one: Association) -> None:
        nonlocal tagged
        try:
            async with limiter.turn():
                found = await pods.api.describe(one.id)
            if found != one:
                done.failed.append(
                    f"{short(one.subject)}: association {one.id} has changed: run the command again"
                )
                return
            async with limiter.turn():
                await to_its_end(tags.add(one.id, pods.owner.tags()))
        except AwsError as error:
            done.failed.append(f"{short(one.subject)}: association {one.id} not tagged: {error}")
            return
        tagged += 1
        progress(f"tagged {tagged} of {len(associations)} associations")

    try:
        await asyncio.gather(*map(tag, associations))
    finally:  # Ctrl-C too
        if tagged:
            done.written.append(f"associations tagged as managed: {tagged}")


async def adopt_in(applier: Applier, role: RoleAdoption) -> None:
    """Have one role's writer work until IAM shows that the statements are taken over."""
    if await written_until_shown(applier, role.role, lambda policy: not policy.has_former(role.own)):
        applier.done.written.append(
            f"{role.role}: statements taken over by {role.own.sid}: {len(role.taken)}, "
            f"{role.before.size()} -> {role.after.size()} characters"
        )


def adopting_engine(
    cache: ClusterCache, policies: TrustPolicies, lock: RoleLock, roles: Sequence[RoleAdoption]
) -> Engine[DesiredState]:
    """One writer for each of the roles, which takes over what the plan says and adds nothing else."""
    owns = {role.role: role.own for role in roles}
    wanted = _Wanted(cache, frozenset(role.role for role in roles if role.replaces))
    checked = _CheckedPolicies(policies, owns, wanted)

    def desired_over(caches: Mapping[RoleArn, PolicyCache]) -> DesiredState:
        return _Desired(wanted, caches)

    return build_engine(owns, owns.__getitem__, lambda _: checked, lock, desired_over)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Who is wanted in the roles at this moment, by the mirror of the cluster."""

    cache: ClusterCache
    replacing: frozenset[RoleArn]
    """The roles in which a wildcard is replaced."""

    def is_wanted(self, role: RoleArn, subject: Subject) -> bool:
        """Whether the managed statement may name it: no reason is known to remove it."""
        cache = self.cache
        shown, young = cache.shown(subject), cache.is_young(subject.namespace)
        return removal_reason(role, subject, shown, cache.bindings, may_still_come=young) is None

    def relying(self, role: RoleArn) -> frozenset[Subject]:
        """The ServiceAccounts that need the role without its wildcards; none where those stay."""
        if role not in self.replacing:
            return frozenset()
        cache = self.cache
        grants = [one for name in cache.namespaces_with_grants() for one in cache.grants_in(name)]
        due = filter(cache.is_due, grants)
        return relying_on(role, cache.accounts(), due, lambda one: self.is_wanted(role, one))


class _Desired(DesiredState):
    """What a writer that adopts wants: no more than the ServiceAccounts that a wildcard is replaced for."""

    def __init__(self, wanted: _Wanted, policies: Mapping[RoleArn, PolicyCache]) -> None:
        super().__init__(wanted.cache, policies)
        self._wanted = wanted

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        return sorted(self._wanted.relying(role))


@dataclass(frozen=True, slots=True)
class _CheckedPolicies:
    """IAM's trust policies, for a writer that must not take access from any ServiceAccount."""

    policies: TrustPolicies
    owns: Mapping[RoleArn, AdoptingStatement]
    wanted: _Wanted
    _read: dict[RoleArn, TrustPolicy] = field(default_factory=dict)

    async def read(self, role: RoleArn) -> TrustPolicy:
        policy = self._read[role] = await self.policies.read(role)
        return policy

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """Raises AwsError too for what must not be written."""
        relying = self.wanted.relying(role)
        reason = objection(
            self._read[role], policy, self.owns[role], relying, partial(self.wanted.is_wanted, role)
        )
        if reason:
            raise AwsError(FailureKind.WITHDRAWN, f"not written: {reason}")
        await self.policies.write(role, policy, may_send)

    async def quota(self) -> int:
        return await self.policies.quota()
