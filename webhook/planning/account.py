"""The account's side, read: trust policies of roles, each once, and associations.

A list of associations says neither role nor owner, so they are described one by one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import InvalidPolicyError
from webhook.planning.snapshot import AccountSnapshot
from webhook.podidentity.association import FoundAssociations
from webhook.podidentity.association_writer import CALLS_PER_SECOND, PARALLEL
from webhook.runtime.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from webhook.iam.ports import TrustPolicies
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association
    from webhook.podidentity.ports import AssociationApi


async def read_roles(
    policies: TrustPolicies, roles: Collection[RoleArn], progress: Callable[[str], None]
) -> AccountSnapshot:
    """The trust policies of `roles` and the quota (iam:GetRole, iam:GetAccountSummary).

    A role that cannot be read raises nothing. Raises AwsError where AWS is out of reach altogether, or where
    there are no credentials.
    """
    found: dict[RoleArn, TrustPolicy] = {}
    unread: dict[RoleArn, str] = {}
    missing: set[RoleArn] = set()
    quota = await policies.quota() if roles else 0

    async def read(role: RoleArn) -> None:
        try:
            found[role] = await policies.read(role)
        except AwsError as error:
            if error.kind.is_no_answer:
                raise
            unread[role] = str(error)
            if error.kind is FailureKind.NO_SUCH_ROLE:
                missing.add(role)
        except InvalidPolicyError as error:
            unread[role] = str(error)
        progress(f"read {len(found) + len(unread)} of {len(roles)} roles")

    await asyncio.gather(*(read(role) for role in sorted(roles)))
    return AccountSnapshot(found, unread, quota, frozenset(missing))


async def read_associations(
    api: AssociationApi, progress: Callable[[str], None], only: Collection[Subject] | None = None
) -> FoundAssociations:
    """All of them, or those of `only` (eks:ListPodIdentityAssociations, eks:DescribePodIdentityAssociation).

    They are read at the rate with which the running program begins, and never faster, to leave it room: 5,000
    take four minutes. What EKS refuses raises nothing. Raises AwsError where EKS is out of reach altogether.
    """
    try:
        return await _described(api, progress, only)
    except AwsError as error:
        if error.kind.is_no_answer:
            raise
        is_wrong = error.kind in {FailureKind.NOT_ALLOWED, FailureKind.NO_SUCH_CLUSTER}
        return FoundAssociations(unread=str(error), wrong_cluster=is_wrong)


async def _described(
    api: AssociationApi, progress: Callable[[str], None], only: Collection[Subject] | None
) -> FoundAssociations:
    ids = (await api.list()).ids
    wanted = {subject: one for subject, one in ids.items() if only is None or subject in only}
    return FoundAssociations(await describe_all(api, wanted, progress), len(ids))


async def describe_all(
    api: AssociationApi, ids: Mapping[Subject, str], progress: Callable[[str], None]
) -> dict[Subject, Association]:
    """The associations of these ids, without those deleted since they were listed. Raises AwsError."""
    limiter = RateLimiter("eks", CALLS_PER_SECOND, ceiling=CALLS_PER_SECOND, parallel=PARALLEL)
    described: dict[Subject, Association] = {}
    count = 0

    async def describe(subject: Subject, association_id: str) -> None:
        nonlocal count
        async with limiter.turn():
            found = await api.describe(association_id)
        if found is not None and found.subject == subject:
            described[subject] = found
        count += 1
        progress(f"described {count} of {len(ids)} associations")

    await asyncio.gather(*(describe(*item) for item in ids.items()))
    return described
