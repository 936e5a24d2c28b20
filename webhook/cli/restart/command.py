"""`restart`: Deployments whose pods run without their identity."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, OwnNamespace
from webhook.cli.output import Output, write_document, write_table
from webhook.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.cli.progress import Progress
    from webhook.cli.restart.restart_plan import PlannedRestart
    from webhook.cli.snapshots.session import Where

_COLUMNS = ("namespace", "deployment", "pods", "what", "why")
_COLOURS = {"restart": "yellow", "rolled out": "green"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person asks for; `namespace` is a control plane's."""

    where: Where
    namespace: str | None
    approved: bool
    at_a_time: int | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A step, what is to be done about it or has come of it, and why."""

    step: PlannedRestart
    what: str
    why: str


def restart(  # noqa: PLR0913  each is an option
    control_plane: Annotated[
        str | None,
        typer.Argument(
            metavar="NAMESPACE",
            help="The control plane's host namespace, mxp-...-system. Without it: all of them.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[
        bool, typer.Option("--approve", metavar="", help="Do what is printed, and wait for the rollouts.")
    ] = False,
    at_a_time: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many at a time. Without it: the configuration's.", show_default=False
        ),
    ] = None,
) -> None:
    """Restart Deployments whose pods run without their identity though it is there. Without `--approve`: the plan.

    It restarts a few at a time, waits for each rollout and says what came of it. Of pods that a restart would not
    help it says why.

    Exit code 0: no pod is left without. 1: a restart failed. 3: there is something to restart. 4: what is left
    needs a person.
    """
    from webhook.cli.snapshots.session import Where

    asked = _Asked(Where(config, namespace, context), control_plane, approve, at_a_time)
    found = run(lambda progress: _restart(asked, progress))
    _show(found, output)
    sys.exit(_exit_code(found))


async def _restart(asked: _Asked, progress: Progress) -> list[_Line]:
    from webhook.cli.restart.restarting import Restarting
    from webhook.cli.restart.workloads import plan_restarts_here
    from webhook.cli.snapshots.session import open_session
    from webhook.kube.deployments import DeploymentApi

    async with open_session(asked.where) as here:
        steps = await plan_restarts_here(here, asked.namespace, progress.step, progress.count)
        outcomes = [("restart" if step.deployment else "leave", step.why) for step in steps]
        if asked.approved:
            section = here.configuration.reconciler
            restarting = Restarting(here.api, DeploymentApi(here.connection), section.restart_timeout, progress)
            outcomes = await restarting.do(steps, asked.at_a_time or section.restarts_at_a_time)
        return [_Line(step, *outcome) for step, outcome in zip(steps, outcomes, strict=True)]


def _show(lines: Sequence[_Line], output: Output) -> None:
    if output is not Output.TABLE:
        write_document({"restarts": [_record(line) for line in lines]}, output)
        return
    if lines:
        write_table(_COLUMNS, [_row(line) for line in lines])
    counts = {what: sum(line.what == what for line in lines) for what in sorted({line.what for line in lines})}
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in counts.items()) or "no pod lacks its identity")
    sys.stdout.write("; do it with --approve\n" if "restart" in counts else "\n")


def _row(line: _Line) -> tuple[tuple[str, str] | str, ...]:
    workload = line.step.workload
    what = (line.what, _COLOURS.get(line.what, "red"))
    return workload.subject.namespace, workload.deployment or "-", str(len(workload.pods)), what, line.why


def _record(line: _Line) -> dict[str, Any]:
    workload = line.step.workload
    return {
        "namespace": workload.subject.namespace,
        "serviceAccount": workload.subject.service_account,
        "deployment": workload.deployment or None,
        "pods": list(workload.pods),
        "what": line.what,
        "why": line.why,
    }


def _exit_code(lines: Sequence[_Line]) -> Exit:
    if any(line.what == "restart" for line in lines):
        return Exit.CHANGES
    if any(line.what == "failed" for line in lines):
        return Exit.FAILED
    return Exit.DONE if all(line.what == "rolled out" for line in lines) else Exit.PROBLEMS
