"""One run of `setup`: where it is, what is there, the files, the steps, and what comes next."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.clients import partition_of
from webhook.cli.setup.account import Place, check_bucket, find_cluster, read_account
from webhook.cli.setup.carrying_out import Hands, carry_out
from webhook.cli.setup.spaces import backup_config, spaces_values, where_s3_is
from webhook.cli.setup.steps import missing, notes, steps_to
from webhook.cli.setup.values import chart_values
from webhook.cli.setup.written import write_files
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from webhook.cli.running import Progress
    from webhook.cli.setup.asked import Asked
    from webhook.cli.setup.desired import DesiredAccount
    from webhook.cli.setup.shown import Shown

_ATTEMPTS = 5
"""Of each call: a person waits, and IAM throttles."""


async def set_up(asked: Asked, shown: Shown, progress: Progress, *, approved: bool, waits: bool) -> bool:
    """Print, write and, if `approved`, do what is missing; answers whether something is left to do.

    Raises InvalidNameError, AwsError, ClusterError.
    """
    async with _connected(asked) as connection:
        calls = AwsCalls(_ATTEMPTS, partition_of(asked.bucket.region))
        try:
            caller = CallerCheck(calls)
            place = await _place(asked, connection, calls, caller, progress)
            progress.hide()
            shown.place(place)
            progress.step("reading the account")
            bucket_note = await check_bucket(calls, asked.bucket)
            me, cluster = await caller.caller(), place.cluster
            desired = asked.desired(me.partition, me.account, place.issuer, cluster.arn if cluster else None)
            found = await read_account(calls, caller, desired, cluster)
            steps = steps_to(desired, found)
            files = _files(asked, desired, place.region)
            write_files(files, overwrite=approved)
            if approved:
                hands = Hands(calls, caller, connection, desired, waits)
                await carry_out(steps, hands, progress, lambda what: shown.done(progress, what))
            progress.hide()
            told = [*([bucket_note] if bucket_note else []), *notes(desired, found)]
            shown.result(steps, told, list(files), asked)
        finally:
            calls.close()
    return bool(missing(steps)) and not approved


@asynccontextmanager
async def _connected(asked: Asked) -> AsyncIterator[Connection | None]:
    """The API server of the context; none where the issuer is given, for then it is not asked."""
    if asked.issuer is not None:
        yield None
        return
    connection = Connection(person=True, context=asked.context)
    try:
        yield connection
    finally:
        connection.close()


async def _place(
    asked: Asked, connection: Connection | None, calls: AwsCalls, caller: CallerCheck, progress: Progress
) -> Place:
    issuer = asked.issuer
    if issuer is None and connection is not None:
        progress.step("asking the API server for its issuer")
        issuer = IssuerUrl(await KubernetesApi(connection, ()).issuer())
    assert issuer is not None  # noqa: S101  one of the two is there
    progress.step("asking AWS for the caller and the cluster")
    me, region = await caller.caller(), await calls.region()
    cluster = None
    if asked.needs_cluster:
        cluster = await find_cluster(calls, me, region, issuer, asked.cluster)
    return Place(me.account, region, issuer, cluster, connection.context if connection else None)


def _files(asked: Asked, desired: DesiredAccount, region: str) -> dict[Path, dict[str, Any]]:
    files: dict[Path, dict[str, Any]] = {}
    if asked.files.values is not None and asked.image is not None:
        files[asked.files.values] = chart_values(desired, asked.image, region, named_account=asked.named_account)
    if asked.files.spaces_values is not None:
        files[asked.files.spaces_values] = spaces_values(desired)
    if asked.files.backup_config is not None:
        bucket = asked.bucket
        files[asked.files.backup_config] = backup_config(
            bucket.name, where_s3_is(bucket.region, desired.own_role.partition), asked.group, bucket.prefix
        )
    return files
