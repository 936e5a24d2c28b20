"""`setup`: what an account needs before the first control plane."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import Context, flag, valued
from webhook.cli.output import Output, write_document
from webhook.cli.running import run, to_its_end

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.cli.iam_calls import IamCall
    from webhook.cli.running import Progress
    from webhook.cli.setup.policies import Bucket, DesiredAccount
    from webhook.cli.setup.presets import Preset
    from webhook.model.names import IssuerUrl, RoleArn, Subject

_PRESETS = "Another workload to bind, and its role: billing, shared-secrets, space-backups."


class SetupOutput(StrEnum):
    """The forms that the plan has."""

    TABLE = "table"
    AWSCLI = "awscli"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options. `issuer` is None where the API server is asked for it."""

    bucket: Bucket
    roles: tuple[str, ...]
    own_role: str
    workloads: tuple[tuple[Preset, str], ...]
    """Other bound workloads, each with the name of its role."""
    program: Subject
    issuer: IssuerUrl | None
    context: str | None
    values: Path | None
    spaces_values: Path | None
    approved: bool
    aloud: bool
    """Print each step when it is done."""


def setup(  # noqa: PLR0913, PLR0917  options
    bucket: Annotated[str, valued("The bucket that control planes back up to.", "NAME")],
    region: Annotated[str, valued("The bucket's region, such as us-west-2.", "NAME")],
    role: Annotated[
        list[str] | None,
        valued("A role for backups; give it several times for a pool of roles.", "NAME", default="mxp-backup"),
    ] = None,
    preset: Annotated[list[str] | None, valued(_PRESETS, "NAME[=ROLE]", default="mxp-NAME")] = None,
    own_role: Annotated[
        str, valued("The role that the webhook itself runs as.", "NAME", default=True)
    ] = "mxp-identity-webhook",
    release_namespace: Annotated[
        str, valued("The namespace that it is to be installed in.", "NAME", default=True)
    ] = "mxp-identity",
    issuer: Annotated[
        str | None, valued("The cluster's OIDC issuer. Without it the API server is asked.", "URL")
    ] = None,
    values: Annotated[
        Path | None, valued("Write the values for the webhook's chart here, with the first binding.", "FILE")
    ] = None,
    spaces_values: Annotated[
        Path | None, valued("Write the values for the Spaces chart here, with the bucket.", "FILE")
    ] = None,
    context: Context = None,
    output: Annotated[
        SetupOutput,
        typer.Option("--output", "-o", metavar="FORM", help="As a table, json or yaml, or awscli: as commands."),
    ] = SetupOutput.TABLE,
    *,
    approve: Annotated[
        bool, flag("--approve", "Do what is printed, not only print it; overwrite files of values.")
    ] = False,
) -> None:
    """Make what an AWS account lacks for backups: OIDC provider, roles, policies. Without `--approve`: the plan.

    With --preset it binds another workload of Spaces as well; what its role may do in AWS is for you to say.

    A second run finds nothing to do, and continues where a first was interrupted. Where others administer the
    account, `-o awscli` prints the same steps as commands for them to run. A new file of values is written with
    the plan already; one that is there and holds something else is overwritten with `--approve` alone.

    Exit code 0: nothing is missing, or all was done. 2: it would change what others use. 3: something is
    missing.
    """
    from webhook.cli.setup.policies import Bucket
    from webhook.model.names import IssuerUrl, Subject

    if approve and output is SetupOutput.AWSCLI:
        raise typer.BadParameter("-o awscli prints commands for others to run: leave out --approve")
    asked = _Asked(
        bucket=Bucket(bucket, region),
        roles=tuple(dict.fromkeys(role or ["mxp-backup"])),
        own_role=own_role,
        workloads=_presets(preset or []),
        program=Subject(release_namespace, "mxp-identity-webhook"),
        issuer=IssuerUrl(issuer) if issuer else None,
        context=context,
        values=values,
        spaces_values=spaces_values,
        approved=approve,
        aloud=output is SetupOutput.TABLE,
    )
    _check_roles(asked)
    calls = run(lambda progress: _setup(asked, progress))
    _show(calls, output, approve=approve)
    sys.exit(Exit.CHANGES if calls and not approve else Exit.DONE)


def _check_roles(asked: _Asked) -> None:
    """Raise InvalidNameError for a name that IAM would refuse, and for the webhook's own role among the others."""
    from webhook.model.errors import InvalidNameError

    bound = (*asked.roles, *(name for _, name in asked.workloads))
    for name in (*bound, asked.own_role):
        try:
            is_name = _arn("aws", "123456789012", name).is_plain
        except InvalidNameError:
            is_name = False
        if not is_name:
            raise InvalidNameError(f"{name!r} is not the name of a role; it looks like mxp-backup")
    if asked.own_role in bound:
        raise InvalidNameError(
            f"{asked.own_role} is --own-role and a workload's role at once: only the webhook may have its rights"
        )


def _presets(given: list[str]) -> tuple[tuple[Preset, str], ...]:
    from webhook.cli.setup.presets import PRESETS

    found = {}
    for text in given:
        name, _, role = text.partition("=")
        if name not in PRESETS:
            raise typer.BadParameter(f"--preset {name}: there are {', '.join(PRESETS)}")
        if name in found:
            raise typer.BadParameter(f"--preset {name} is given twice")
        found[name] = (PRESETS[name], role or f"mxp-{name}")
    return tuple(found.values())


def _arn(partition: str, account: str, name: str) -> RoleArn:
    from webhook.model.names import RoleArn

    return RoleArn(f"arn:{partition}:iam::{account}:role/{name}")


async def _setup(asked: _Asked, progress: Progress) -> list[IamCall]:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import partition_of
    from webhook.cli.setup.account import read_account
    from webhook.cli.setup.prerequisites import missing_calls
    from webhook.cli.setup.values import chart_values, spaces_values, write_values
    from webhook.model.aws_errors import AwsError

    progress.step("asking the API server for its issuer")
    issuer = asked.issuer or await _issuer(asked.context)
    aws = AwsCalls(attempts=5, partition=partition_of(asked.bucket.region))
    try:
        progress.step("reading the account")
        desired = await _desired(asked, issuer, aws)
        calls = missing_calls(desired, await read_account(aws, desired))
        files = {asked.values: chart_values(desired), asked.spaces_values: spaces_values(desired)}
        write_values({path: values for path, values in files.items() if path}, overwrite=asked.approved)
        for number, call in enumerate(calls if asked.approved else ()):
            progress.step(call.what)
            try:
                await to_its_end(_make(aws, call, progress, aloud=asked.aloud))
            except AwsError as error:
                done = (
                    f"{number} of {len(calls)} steps were done before, and the same command continues from there"
                )
                raise AwsError(error.kind, f"{error}; {done}") from error
    finally:
        aws.close()
    return calls


async def _make(aws: AwsCalls, call: IamCall, progress: Progress, *, aloud: bool) -> None:
    from webhook.cli.setup.account import make

    await make(aws, call)
    if aloud:
        progress.hide()
        sys.stdout.write(f"done: {call.what}\n")
        sys.stdout.flush()


async def _desired(asked: _Asked, issuer: IssuerUrl, aws: AwsCalls) -> DesiredAccount:
    from webhook.aws.caller import CallerCheck
    from webhook.cli.setup.policies import DesiredAccount

    caller = await CallerCheck(aws).caller()

    def arn(name: str) -> RoleArn:
        return _arn(caller.partition, caller.account, name)

    return DesiredAccount(
        asked.bucket,
        tuple(arn(name) for name in asked.roles),
        arn(asked.own_role),
        issuer,
        asked.program,
        tuple((preset, arn(name)) for preset, name in asked.workloads),
    )


async def _issuer(context: str | None) -> IssuerUrl:
    from webhook.kube.api import KubernetesApi
    from webhook.kube.connection import Connection
    from webhook.model.names import IssuerUrl

    connection = Connection(person=True, context=context)
    try:
        return IssuerUrl(await KubernetesApi(connection, ()).issuer())
    finally:
        connection.close()


def _show(calls: list[IamCall], output: SetupOutput, *, approve: bool) -> None:
    if output is SetupOutput.AWSCLI:
        sys.stdout.write("".join(f"{call.command()}\n" for call in calls))
    elif output is not SetupOutput.TABLE:
        write_document({"steps": [_record(call) for call in calls], "done": approve}, Output(output))
    elif not calls:
        sys.stdout.write("nothing is missing\n")
    elif not approve:
        sys.stdout.write("".join(f"  + {call.what}\n" for call in calls))
        sys.stdout.write(f"{len(calls)} steps; --approve does them, -o awscli prints them\n")


def _record(call: IamCall) -> dict[str, Any]:
    return {"what": call.what, "operation": call.operation, "parameters": dict(call.parameters)}
