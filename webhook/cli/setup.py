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
from webhook.cli.running import run

if TYPE_CHECKING:
    from webhook.blueprint.documents import Wish
    from webhook.blueprint.presets import Preset
    from webhook.blueprint.steps import Step
    from webhook.cli.progress import Progress


class SetupOutput(StrEnum):
    """The forms that the plan has."""

    TABLE = "table"
    AWSCLI = "awscli"
    JSON = "json"
    YAML = "yaml"


def setup(  # noqa: PLR0913, PLR0917  options
    bucket: Annotated[str, typer.Option(help="The bucket that control planes back up to.", show_default=False)],
    region: Annotated[str, typer.Option(help="The bucket's region.", show_default=False)],
    role: Annotated[list[str] | None, typer.Option(help="A role for backups; give several for a pool.")] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=ROLE]",
            help="Another workload to bind, and its role: billing, shared-secrets, space-backups.",
            show_default="mxp-NAME",
        ),
    ] = None,
    own_role: Annotated[str, typer.Option(help="The webhook's own role.")] = "mxp-identity-webhook",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where it is to be installed.")
    ] = "mxp-identity",
    issuer: Annotated[
        str | None,
        typer.Option(help="The cluster's issuer. By default the API server is asked.", show_default=False),
    ] = None,
    values: Annotated[
        Path | None, typer.Option(help="Write the webhook's chart values to this file.", show_default=False)
    ] = None,
    spaces_values: Annotated[
        Path | None, typer.Option(help="Write the Spaces chart's values to this file.", show_default=False)
    ] = None,
    context: Context = None,
    output: Annotated[SetupOutput, typer.Option("--output", "-o", help="How to print it.")] = SetupOutput.TABLE,
    *,
    approve: Annotated[bool, typer.Option("--approve", help="Do it.")] = False,
) -> None:
    """Print what is missing in the account and do it with --approve: OIDC provider, roles and their policies.

    With --preset it binds another workload of Spaces as well; what its role may do in AWS is for you to say. With
    `-o awscli` it prints the commands instead, for whoever owns the account. A second run finds nothing to do. The
    values files are written in any case.

    Exit code 0: nothing is missing, or it has been done. 3: something is missing.
    """
    asked = _Asked(bucket, region, tuple(role or ["mxp-backup"]), own_role, namespace, _presets(preset or []))
    wish, steps = run(lambda progress: _setup(asked, issuer, context, approve, progress))
    _write_values(wish, values, spaces_values)
    _show(steps, output, approve=approve)
    sys.exit(Exit.CHANGES if steps and not approve else Exit.DONE)


@dataclass(frozen=True)
class _Asked:
    """The call, before the account is known. `workloads` are pairs of preset and name of a role."""

    bucket: str
    region: str
    roles: tuple[str, ...]
    own_role: str
    namespace: str
    workloads: tuple[tuple[Preset, str], ...]

    def wish(self, account: str, partition: str, issuer: str) -> Wish:
        from webhook.blueprint.documents import Wish
        from webhook.blueprint.presets import Workload
        from webhook.domain.names import IssuerUrl, RoleArn, Subject

        def arn(name: str) -> RoleArn:
            return RoleArn(f"arn:{partition}:iam::{account}:role/{name}")

        return Wish(
            self.bucket,
            self.region,
            tuple(arn(name) for name in self.roles),
            arn(self.own_role),
            IssuerUrl(issuer),
            Subject(self.namespace, "mxp-identity-webhook"),
            tuple(Workload(preset, arn(name)) for preset, name in self.workloads),
        )


def _presets(given: list[str]) -> tuple[tuple[Preset, str], ...]:
    from webhook.blueprint.presets import PRESETS

    found = {}
    for text in given:
        name, _, role = text.partition("=")
        if name not in PRESETS:
            raise typer.BadParameter(f"--preset {name}: there are {', '.join(PRESETS)}")
        if name in found:
            raise typer.BadParameter(f"--preset {name} is given twice")
        found[name] = (PRESETS[name], role or f"mxp-{name}")
    return tuple(found.values())


async def _setup(
    asked: _Asked,
    issuer: str | None,
    context: str | None,
    approve: bool,  # noqa: FBT001  an option
    progress: Progress,
) -> tuple[Wish, list[Step]]:
    from webhook.aws.caller import CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.aws.foundations import carry_out, look_at_account
    from webhook.blueprint.steps import missing_steps

    progress.step("asking the API server for its issuer")
    found_issuer = issuer or await _issuer(context)
    calls = AwsCalls(attempts=5)
    try:
        progress.step("looking at the account")
        caller = await CallerCheck(calls).caller()
        wish = asked.wish(caller.account, caller.arn.split(":")[1], found_issuer)
        steps = missing_steps(wish, await look_at_account(calls, wish))
        for step in steps if approve else ():
            progress.step(step.what)
            await carry_out(calls, step)
    finally:
        calls.close()
    return wish, steps


async def _issuer(context: str | None) -> str:
    from webhook.cluster.api import KubernetesApi
    from webhook.cluster.connection import Connection

    connection = Connection(person=True, context=context)
    try:
        return await KubernetesApi(connection, ()).issuer()
    finally:
        connection.close()


def _write_values(wish: Wish, values: Path | None, spaces: Path | None) -> None:
    import yaml

    from webhook.blueprint.values import chart_values, spaces_values

    for path, document in ((values, chart_values(wish)), (spaces, spaces_values(wish))):
        if path is not None:
            try:
                path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
            except OSError as error:
                raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _show(steps: list[Step], output: SetupOutput, *, approve: bool) -> None:
    if output is SetupOutput.AWSCLI:
        sys.stdout.write("".join(f"{step.command()}\n" for step in steps))
    elif output is SetupOutput.TABLE:
        mark = "done: " if approve else "  + "
        sys.stdout.write("".join(f"{mark}{step.what}\n" for step in steps) or "nothing is missing\n")
        if steps and not approve:
            sys.stdout.write(f"{len(steps)} steps; --approve does them, -o awscli prints them\n")
    else:
        write_document({"steps": [_record(step) for step in steps], "done": approve}, Output(output))


def _record(step: Step) -> dict[str, Any]:
    return {"what": step.what, "operation": step.operation, "parameters": dict(step.parameters)}
