"""The associations of the cluster: listed, then described one by one, for the list says neither role nor owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind
from webhook.podidentity.association import FoundAssociations
from webhook.podidentity.association_writer import CALLS_PER_SECOND, PARALLEL
from webhook.runtime.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from webhook.model.names import Subject
    from webhook.podidentity.association import Association
    from webhook.podidentity.ports import AssociationApi


async def look_at(
    api: AssociationApi, progress: Callable[[str], None], only: Collection[Subject] | None = None
) -> FoundAssociations:
    """All of them, or those of `only` (eks:ListPodIdentityAssociations, eks:DescribePodIdentityAssociation).

    At the rate with which the running program begins, and never faster, to leave it room: 5,000 take four
    minutes. Whatever EKS refuses is no error of the look; that it is out of reach altogether is: AwsError.
    """
    try:
        return await _look_at(api, progress, only)
    except AwsError as error:
        if error.kind.is_no_answer:
            raise
        is_wrong = error.kind in {FailureKind.NOT_ALLOWED, FailureKind.NO_SUCH_CLUSTER}
        return FoundAssociations(unread=str(error), wrong_cluster=is_wrong)


async def _look_at(
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
    looked_at = 0

    async def describe(subject: Subject, association_id: str) -> None:
        nonlocal looked_at
        async with limiter.turn():
            found = await api.describe(association_id)
        if found is not None and found.subject == subject:
            described[subject] = found
        looked_at += 1
        progress(f"described {looked_at} of {len(ids)} associations")

    await asyncio.gather(*(describe(*item) for item in ids.items()))
    return described
