"""One run of `setup`: where it is, what is there, the files, the steps, and what comes next."""

from __future__ import annotations

import errno
import os
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import typer
import yaml

from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.clients import partition_of
from webhook.cli.setup.account import Place, check_bucket, find_cluster, read_account
from webhook.cli.setup.carrying_out import SetupSession, carry_out
from webhook.cli.setup.release import chart_values
from webhook.cli.setup.spaces import backup_config, spaces_values, where_s3_is
from webhook.cli.setup.steps import missing, notes, steps_to
from webhook.cli.snapshots.session import READ_ATTEMPTS
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from webhook.cli.running import Progress
    from webhook.cli.setup.asked import Asked
    from webhook.cli.setup.prerequisites import DesiredAccount
    from webhook.cli.setup.shown import Shown


async def set_up(asked: Asked, shown: Shown, progress: Progress, *, approved: bool, waits: bool) -> bool:
    """Print, write and, if `approved`, do what is missing; answers whether something is left to do.

    Raises InvalidNameError, AwsError, ClusterError.
    """
    partition = partition_of(asked.bucket.region)
    with _connected(asked) as connection, closing(AwsCalls(READ_ATTEMPTS, partition)) as calls:
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
        _write_files(files, overwrite=approved)
        if approved:
            session = SetupSession(calls, caller, connection, desired, waits)
            await carry_out(steps, session, progress, lambda what: shown.done(progress, what))
        progress.hide()
        told = [*([bucket_note] if bucket_note else []), *notes(desired, found)]
        shown.result(steps, told, list(files), asked)
    return bool(missing(steps)) and not approved


def _connected(asked: Asked) -> AbstractContextManager[Connection | None]:
    """The API server of the context; none where the issuer is given, for then it is not asked."""
    return nullcontext() if asked.issuer else closing(Connection(person=True, context=asked.context))


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


class _Dumper(yaml.SafeDumper):
    """Quotes what looks like a number: Helm reads 12345e7 as one, and PyYAML does not."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_like_number = value[:1].isdecimal() or value[:1] in {"+", "-", "."}
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if is_like_number else None)


_Dumper.add_representer(str, _text)


def _write_files(files: Mapping[Path, dict[str, Any]], *, overwrite: bool) -> None:
    """Write each, or none: raises BadParameter where one holds something else and is not to be overwritten."""
    texts = {path: yaml.dump(content, Dumper=_Dumper, sort_keys=False).encode() for path, content in files.items()}
    for path, text in texts.items():
        if not overwrite and _holds_something_else(path, text):
            raise typer.BadParameter(
                f"{path} is there and holds something else: name another file, or overwrite it with --approve"
            )
        if reason := _why_not(path):
            raise typer.BadParameter(f"{path} cannot be written: {reason}")
    for path, text in texts.items():
        try:
            path.write_bytes(text)
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _why_not(path: Path) -> str | None:
    """Why a file cannot be written, as far as it can be told before; None where it can."""
    if path.is_dir():
        return os.strerror(errno.EISDIR)
    if not path.parent.is_dir():
        return os.strerror(errno.ENOENT)
    return None if os.access(path if path.exists() else path.parent, os.W_OK) else os.strerror(errno.EACCES)


def _holds_something_else(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() != text
    except OSError:
        return True
