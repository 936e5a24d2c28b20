"""Whether the roles allow the buckets that configurations name: asked of IAM, without a token and without S3."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from webhook.aws.simulation import not_allowed
from webhook.cli.verify.bucket import fixes
from webhook.cli.verify.bucket.judging import usable
from webhook.cli.verify.findings import Check, Finding, broken, unknown
from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.aws.calls import AwsCalls
    from webhook.aws.simulation import Simulated
    from webhook.cli.verify.bucket.configs import BackupConfig
    from webhook.cli.verify.bucket.judging import Facts, Workload
    from webhook.model.names import RoleArn, Subject

_OF_OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
_OF_BUCKETS = ("s3:ListBucket",)
_PLANES = 50
"""Control planes of one request: a result for each of their three actions is far below the most of an answer."""


async def check_roles(
    calls: AwsCalls, workloads: Mapping[Subject, Workload], facts: Facts
) -> dict[Subject, list[Finding]]:
    """A finding for each control plane whose role does not allow what a configuration needs."""
    planes: defaultdict[tuple[RoleArn, BackupConfig], list[Subject]] = defaultdict(list)
    for subject, workload in workloads.items():
        if workload.has_place:
            for config in usable(workload, facts):
                planes[workload.role, config].append(subject)
    found: defaultdict[Subject, list[Finding]] = defaultdict(list)

    async def check(role: RoleArn, config: BackupConfig, subjects: list[Subject]) -> None:
        arn = f"arn:{role.partition}:s3:::{config.bucket}"
        region = facts.region_of(config.bucket) or config.region
        places = {subject: f"{arn}/{config.place(workloads[subject].plane)}" for subject in subjects}
        try:
            of_all = await not_allowed(calls, role, _OF_BUCKETS, [arn], region)
            of_each = await not_allowed(
                calls, role, _OF_OBJECTS, [f"{one}backup" for one in places.values()], region
            )
        except AwsError as error:
            for subject in subjects:
                found[subject].append(
                    unknown(Check.BUCKET, f"whether {role.name} allows it is not known: {error}")
                )
            return
        for subject, place in places.items():
            mine = [one for one in of_each if one.resource == f"{place}backup"]
            found[subject] += _findings([*of_all, *mine], role, config, f"s3://{place.partition(':::')[2]}")

    batches = [
        check(role, config, subjects[first : first + _PLANES])
        for (role, config), subjects in planes.items()
        for first in range(0, len(subjects), _PLANES)
    ]
    await asyncio.gather(*batches)
    return found


def _findings(denied: Iterable[Simulated], role: RoleArn, config: BackupConfig, url: str) -> list[Finding]:
    """One for what no policy of the role allows, one for what its boundary does not, one for what is denied."""
    groups: defaultdict[tuple[bool, bool], list[str]] = defaultdict(list)
    for one in denied:
        groups[one.by_boundary, one.denied].append(one.action)
    fix = fixes.allow_bucket(role, config.bucket, config.folder)
    found = []
    for (by_boundary, is_denied), actions in groups.items():
        what = f"{', '.join(dict.fromkeys(actions))} in {url}"
        if is_denied:
            why = f"a Deny in the policies or the permissions boundary of {role.name} is about {what}"
            found.append(broken(Check.BUCKET, why))
        elif by_boundary:
            why = f"the permissions boundary of {role.name} does not allow {what}"
            found.append(broken(Check.BUCKET, f"{why}: verify it with --assume --bucket for the command"))
        else:
            found.append(broken(Check.BUCKET, f"no policy of {role.name} allows {what}", fix))
    return found
