"""`setup`: what an account needs before the first control plane."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import Context
from webhook.cli.output import Output, write_document
from webhook.cli.running import run, to_its_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.calls import AwsCalls
    from webhook.cli.progress import Progress
    from webhook.cli.setup.documents import Bucket, DesiredAccount
    from webhook.cli.setup.prerequisites import IamCall
    from webhook.cli.setup.presets import Preset
    from webhook.model.names import IssuerUrl, RoleArn, Subject

    _Values = Callable[[DesiredAccount], dict[str, Any]]


class SetupOutput(StrEnum):
    """The forms that the plan has."""

    TABLE = "table"
    AWSCLI = "awscli"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person asks for. `issuer` is None where the API server is to tell it."""

    bucket: Bucket
    roles: tuple[str, ...]
    own_role: str
    workloads: tuple[tuple[Preset, str], ...]
    """What else is bound, and the name of its role."""
    program: Subject
    issuer: IssuerUrl | None
    context: str | None
    files: tuple[tuple[Path | None, _Values], ...]
    approved: bool
    aloud: bool
    """Say of each step when it is done."""


def setup(  # noqa: PLR0913, PLR0917  options
    bucket: Annotated[
        str, typer.Option(metavar="NAME", help="The bucket that control planes back up to.", show_default=False)
    ],
    region: Annotated[
        str, typer.Option(metavar="NAME", help="The bucket's region, such as us-west-2.", show_default=False)
    ],
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A role for backups; give it several times for a pool of roles.",
            show_default="mxp-backup",
        ),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=ROLE]",
            help="Another workload to bind, and its role: billing, shared-secrets, space-backups.",
            show_default="mxp-NAME",
        ),
    ] = None,
    own_role: Annotated[
        str, typer.Option(metavar="NAME", help="The role that the webhook itself runs as.")
    ] = "mxp-identity-webhook",
    namespace: Annotated[
        str,
        typer.Option("--namespace", "-n", metavar="NAME", help="The namespace that it is to be installed in."),
    ] = "mxp-identity",
    issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The cluster's OIDC issuer. Without it the API server is asked.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the values for the webhook's chart here, with the first binding.",
            show_default=False,
        ),
    ] = None,
    spaces_values: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the values for the Spaces chart here, with the bucket.", show_default=False
        ),
    ] = None,
    context: Context = None,
    output: Annotated[
        SetupOutput,
        typer.Option("--output", "-o", metavar="FORM", help="As a table, json or yaml, or awscli: as commands."),
    ] = SetupOutput.TABLE,
    *,
    approve: Annotated[
        bool,
        typer.Option(
            "--approve", metavar="", help="Do what is printed, not only print it; overwrite files of values."
        ),
    ] = False,
) -> None:
    """Make what an AWS account lacks for backups: OIDC provider, roles, policies. Without `--approve`: the plan.

    With --preset it binds another workload of Spaces as well; what its role may do in AWS is for you to say.

    A second run finds nothing to do, and goes on where a first was interrupted. Where the account is somebody
    else's, `-o awscli` prints the same steps as commands for them to run. A new file of values is written with the
    plan already; one that is there and holds something else is overwritten with `--approve` alone.

    Exit code 0: nothing is missing, or all was done. 2: it would take from others what they have. 3: something is
    missing.
    """
    from webhook.cli.setup.documents import Bucket
    from webhook.cli.setup.values import chart_values
    from webhook.cli.setup.values import spaces_values as values_of_spaces
    from webhook.model.names import IssuerUrl, Subject

    if approve and output is SetupOutput.AWSCLI:
        raise typer.BadParameter("-o awscli prints commands that somebody else is to run: leave out --approve")
    asked = _Asked(
        bucket=Bucket(bucket, region),
        roles=tuple(dict.fromkeys(role or ["mxp-backup"])),
        own_role=own_role,
        workloads=_presets(preset or []),
        program=Subject(namespace, "mxp-identity-webhook"),
        issuer=IssuerUrl(issuer) if issuer else None,
        context=context,
        files=((values, chart_values), (spaces_values, values_of_spaces)),
        approved=approve,
        aloud=output is SetupOutput.TABLE,
    )
    _check_roles(asked)
    steps = run(lambda progress: _setup(asked, progress))
    _show(steps, output, approve=approve)
    sys.exit(Exit.CHANGES if steps and not approve else Exit.DONE)


def _check_roles(asked: _Asked) -> None:
    """Raise InvalidNameError for a name that IAM would refuse, and for the webhook's own role among the others."""
    from webhook.model.errors import InvalidNameError

    handed_out = (*asked.roles, *(name for _, name in asked.workloads))
    for name in (*handed_out, asked.own_role):
        if not _is_role_name(name):
            raise InvalidNameError(f"{name!r} is not the name of a role; it looks like mxp-backup")
    if asked.own_role in handed_out:
        raise InvalidNameError(
            f"{asked.own_role} is --own-role and a workload's role at once: nobody may have the webhook's rights"
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


def _is_role_name(name: str) -> bool:
    from webhook.model.errors import InvalidNameError

    try:
        return _arn("aws", "123456789012", name).is_plain
    except InvalidNameError:
        return False


def _arn(partition: str, account: str, name: str) -> RoleArn:
    from webhook.model.names import RoleArn

    return RoleArn(f"arn:{partition}:iam::{account}:role/{name}")


async def _setup(asked: _Asked, progress: Progress) -> list[IamCall]:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import partition_of
    from webhook.cli.setup.account import read_account
    from webhook.cli.setup.prerequisites import missing_steps
    from webhook.cli.setup.values_files import write_values
    from webhook.model.aws_errors import AwsError

    progress.step("asking the API server for its issuer")
    issuer = asked.issuer or await _issuer(asked.context)
    calls = AwsCalls(attempts=5, partition=partition_of(asked.bucket.region))
    try:
        progress.step("looking at the account")
        desired = await _desired(asked, issuer, calls)
        steps = missing_steps(desired, await read_account(calls, desired))
        files = {path: values(desired) for path, values in asked.files if path is not None}
        write_values(files, overwrite=asked.approved)
        for number, step in enumerate(steps if asked.approved else ()):
            progress.step(step.what)
            try:
                await to_its_end(_do(calls, step, progress, aloud=asked.aloud))
            except AwsError as error:
                raise AwsError(error.kind, f"{error}; {_how_far(number, steps)}") from error
    finally:
        calls.close()
    return steps


def _how_far(done: int, steps: list[IamCall]) -> str:
    """What a person has to know whose setup ended in the middle."""
    return f"{done} of {len(steps)} steps were done before, and the same command goes on from there"


async def _do(calls: AwsCalls, step: IamCall, progress: Progress, *, aloud: bool) -> None:
    from webhook.cli.setup.account import carry_out

    await carry_out(calls, step)
    if aloud:
        progress.hide()
        sys.stdout.write(f"done: {step.what}\n")
        sys.stdout.flush()


async def _desired(asked: _Asked, issuer: IssuerUrl, calls: AwsCalls) -> DesiredAccount:
    from webhook.aws.caller import CallerCheck
    from webhook.cli.setup.documents import DesiredAccount
    from webhook.cli.setup.presets import PresetWorkload

    caller = await CallerCheck(calls).caller()

    def arn(name: str) -> RoleArn:
        return _arn(caller.partition, caller.account, name)

    return DesiredAccount(
        asked.bucket,
        tuple(arn(name) for name in asked.roles),
        arn(asked.own_role),
        issuer,
        asked.program,
        tuple(PresetWorkload(preset, arn(name)) for preset, name in asked.workloads),
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


def _show(steps: list[IamCall], output: SetupOutput, *, approve: bool) -> None:
    if output is SetupOutput.AWSCLI:
        sys.stdout.write("".join(f"{step.command()}\n" for step in steps))
    elif output is not SetupOutput.TABLE:
        write_document({"steps": [_record(step) for step in steps], "done": approve}, Output(output))
    elif not steps:
        sys.stdout.write("nothing is missing\n")
    elif not approve:
        sys.stdout.write("".join(f"  + {step.what}\n" for step in steps))
        sys.stdout.write(f"{len(steps)} steps; --approve does them, -o awscli prints them\n")


def _record(step: IamCall) -> dict[str, Any]:
    return {"what": step.what, "operation": step.operation, "parameters": dict(step.parameters)}
