"""The engine put together, for the running program, for the commands that write, and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from webhook.engine.grants import Grants
from webhook.iam.policy_cache import PolicyCache
from webhook.iam.role_writer import RoleWriter, iam_limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.coordination.lock import RoleLock
    from webhook.iam.ports import DesiredSubjects, TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import RoleArn
    from webhook.podidentity.associations import Associations
    from webhook.runtime.rate_limiter import RateLimiter
    from webhook.telemetry.progress import Progress

D = TypeVar("D", bound="DesiredSubjects")


class Engine(NamedTuple, Generic[D]):
    """All that writes trust policies and associations; `desired` is what the cluster wants of them."""

    desired: D
    writers: Mapping[RoleArn, RoleWriter]
    associations: Associations | None
    grants: Grants


def build_engine(  # noqa: PLR0913, PLR0917  what differs between its users
    roles: Iterable[RoleArn],
    own_in: Callable[[RoleArn], OwnStatement],
    policies_of: Callable[[RoleArn], TrustPolicies],
    lock: RoleLock,
    desired_over: Callable[[Mapping[RoleArn, PolicyCache]], D],
    associations_over: Callable[[D], Associations] | None = None,
    progress: Progress | None = None,
    limiter: RateLimiter | None = None,
) -> Engine[D]:
    """Build one writer for each role, under one limit on calls to IAM, the associations, and the grants over both.

    `own_in` answers our statement in a role, `policies_of` how the role's policy is read and written.
    `desired_over` answers what the cluster wants, given what the roles are known to trust. `associations_over`
    answers the associations for that.
    """
    caches = {role: PolicyCache(role) for role in roles}
    desired, limiter = desired_over(caches), limiter or iam_limiter()
    writers = {
        role: RoleWriter(cache, own_in, policies_of(role), lock, desired, progress, limiter)
        for role, cache in caches.items()
    }
    associations = associations_over(desired) if associations_over else None
    return Engine(desired, writers, associations, Grants(writers, associations))
