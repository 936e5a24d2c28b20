"""`restart`: Deployments whose pods run without their identity."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from webhook.cli.exits import Exit
from webhook.cli.options import (
    AtATime,
    ConfigFile,
    Context,
    ControlPlaneName,
    Group,
    Namespace,
    OutputForm,
    ReleaseNamespace,
    flag,
)
from webhook.cli.output import Cell, Output, subject_fields, write_document, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.cli.restart.restart_plan import PlannedRestart, RestartOutcome
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.control_planes import ControlPlanes

_COLUMNS = ("control plane", "namespace", "deployment", "pods", "what", "why")
_COLOURS = {"restart": "yellow", "rolled-out": "green"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A step, what is to be done or its outcome, and why."""

    step: PlannedRestart
    what: RestartOutcome
    why: str


def restart(  # noqa: PLR0913, PLR0917  each is an option
    control_plane: ControlPlaneName = None,
    group: Group = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[bool, flag("--approve", "Do what is printed, and wait for the rollouts.")] = False,
    at_a_time: AtATime = None,
) -> None:
    """Restart Deployments whose pods run without their identity though it is there. Without `--approve`: the plan.

    It restarts a few at a time, waits for each rollout and prints its outcome. For pods that a restart would not
    help it prints why.

    Exit code 0: no pod lacks its identity. 1: a restart failed. 3: there is something to restart. 4: what is left
    needs a person.
    """
    from webhook.cli.snapshots.session import Where, run_in_session
    from webhook.model.control_planes import Choice

    where = Where(config, release_namespace, context, Choice(control_plane, group, namespace))
    found, planes = run_in_session(where, partial(_restart, approved=approve, at_a_time=at_a_time))
    _show(found, planes, output)
    sys.exit(_exit_code(found))


async def _restart(
    here: Session, progress: Progress, *, approved: bool, at_a_time: int | None
) -> tuple[list[_Line], ControlPlanes]:
    from webhook.cli.restart.restart_plan import RestartOutcome
    from webhook.cli.restart.restarting import Restarting, plan_restarts_here
    from webhook.kube.deployments import DeploymentApi

    steps, planes = await plan_restarts_here(here, progress)
    outcomes = [(RestartOutcome.RESTART if step.deployment else RestartOutcome.SKIP, step.why) for step in steps]
    if approved:
        section = here.configuration.reconciler
        restarting = Restarting(here.api, DeploymentApi(here.connection), section.restart_timeout, progress)
        outcomes = await restarting.do(steps, at_a_time or section.restarts_at_a_time)
    return [_Line(step, *outcome) for step, outcome in zip(steps, outcomes, strict=True)], planes


def _show(lines: Sequence[_Line], planes: ControlPlanes, output: Output) -> None:
    if output is not Output.TABLE:
        write_document({"restarts": [_record(line, planes) for line in lines]}, output)
        return
    if lines:
        write_table(_COLUMNS, [_row(line, planes) for line in lines])
    counts = Counter(sorted(line.what.value for line in lines))
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in counts.items()) or "no pod lacks its identity")
    sys.stdout.write("; do it with --approve\n" if "restart" in counts else "\n")


def _row(line: _Line, planes: ControlPlanes) -> tuple[Cell, ...]:
    group, what = line.step.workload, (line.what.value, _COLOURS.get(line.what.value, "red"))
    namespace = group.subject.namespace
    return (
        planes.at(namespace).title,
        namespace,
        group.deployment or "none",
        str(len(group.pods)),
        what,
        line.why,
    )


def _record(line: _Line, planes: ControlPlanes) -> dict[str, Any]:
    group = line.step.workload
    pods = {"deployment": group.deployment or None, "pods": list(group.pods)}
    return {**subject_fields(group.subject, planes), **pods, "what": line.what.value, "why": line.why}


def _exit_code(lines: Sequence[_Line]) -> Exit:
    from webhook.cli.restart.restart_plan import RestartOutcome

    outcomes = {line.what for line in lines}
    return Exit.of(
        failed=RestartOutcome.FAILED in outcomes,
        changes=RestartOutcome.RESTART in outcomes,
        problems=not outcomes <= {RestartOutcome.ROLLED_OUT},
    )
