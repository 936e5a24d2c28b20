"""`migrate`: a binding from IRSA to Pod Identity, or back."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import AtATime, ConfigFile, Context, OutputForm, ReleaseNamespace, flag
from webhook.cli.output import Cell, Done, Output, subject_fields, write_done, write_table

if TYPE_CHECKING:
    from webhook.cli.migrate.rules import Course, Migration, Move
    from webhook.cli.migrate.session import MigrationSession
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.bindings import Binding
    from webhook.model.control_planes import ControlPlanes


class Way(StrEnum):
    """The modes that a binding can go to."""

    IRSA = "irsa"
    POD_IDENTITY = "pod-identity"


_COLUMNS = ("control plane", "namespace", "pods to replace", "next", "why")
_COLOURS = {"blocked": "red", "switch": "bold"}


def migrate(  # noqa: PLR0913, PLR0917  each is an option
    binding: Annotated[str, typer.Argument(metavar="BINDING", help="The binding's name.", show_default=False)],
    to: Annotated[Way, typer.Option("--to", help="Its new mode.", show_default=False)],
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[bool, flag("--approve", "Do what can be done now.")] = False,
    at_a_time: AtATime = None,
) -> None:
    """Move a binding from IRSA to Pod Identity, or back, without a moment without access. First: the plan.

    Run it, give the binding its new mode in the running program's configuration, and run it again: the new way is
    added, pods are replaced, and the old way is removed where no pod carries its variables. The next run continues
    one that was cut off.

    Exit code 0: all is moved. 3: there is something to do. 4: what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where, run_in_session

    work = partial(_migrate, binding=binding, to=to, approved=approve, at_a_time=at_a_time, output=output)
    sys.exit(run_in_session(Where(config, release_namespace, context), work))


async def _migrate(  # noqa: PLR0913  options
    here: Session,
    progress: Progress,
    *,
    binding: str,
    to: Way,
    approved: bool,
    at_a_time: int | None,
    output: Output,
) -> Exit:
    from webhook.cli.migrate.session import look_at_migration, open_migration
    from webhook.model.bindings import Mode

    session = await open_migration(here, binding, Mode(to.value), progress)
    done = Done()
    try:
        found = await look_at_migration(session, progress)
        if approved and not found.is_done:
            await _carry_out(session, found, at_a_time, progress, done)
            found = await look_at_migration(session, progress)
    except BaseException:  # Ctrl-C too
        progress.hide()
        if output is Output.TABLE or done.written or done.failed:
            write_done(done, output, _head(session.binding, session.course))
        raise
    finally:
        session.close()
    progress.hide()
    write_done(done, output, _document(found))
    if output is Output.TABLE:
        _show(found)
    is_left = not found.is_done
    return Exit.of(
        failed=bool(done.failed), changes=is_left and not found.is_stuck, problems=is_left and found.is_stuck
    )


async def _carry_out(
    session: MigrationSession, found: Migration, at_a_time: int | None, progress: Progress, done: Done
) -> None:
    """Do what can be done now, and note what was done and what was not."""
    from webhook.cli.migrate.migrating import add, drop_statement, move_on
    from webhook.cli.migrate.rules import MigrationStep
    from webhook.cli.migrate.session import look_at_migration
    from webhook.controller.remediation.rollouts import RolloutLimits

    section = session.here.configuration.reconciler
    if found.at(MigrationStep.ADD):
        progress.step("adding the new way")
        await add(session, found, progress.count, done)
        found = await look_at_migration(session, progress)
    if found.at(MigrationStep.DETACH, MigrationStep.RESTART, MigrationStep.REMOVE):
        progress.step("replacing pods, and removing the old way")
        limits = RolloutLimits(at_a_time or section.restarts_at_a_time, section.restart_timeout)
        await move_on(session, found, limits, progress.count, done)
        found = await look_at_migration(session, progress)
    if found.drops_statement:
        progress.step("removing the statement for pods")
        await drop_statement(session, found, done)


def _show(found: Migration) -> None:
    """What is left, and how far all are."""
    from webhook.cli.migrate.rules import MigrationStep

    left = [move for move in found.moves if move.step is not MigrationStep.MOVED]
    if left:
        write_table(_COLUMNS, [_row(move, found.planes) for move in left])
    counts = ", ".join(f"{len(found.at(step))} {step}" for step in MigrationStep if found.at(step))
    sys.stdout.write(f"binding {found.binding.name} to {found.course.target}: {counts or 'no ServiceAccounts'}\n")
    if found.statement_in:
        sys.stdout.write("its statement for pods is removed last\n")
    if found.can_go_on:
        sys.stdout.write("--approve does what can be done now\n")
    elif found.waits_for_switch:
        sys.stdout.write(
            f"give the binding mode {found.course.target} in the running program's configuration, wait for its "
            "rollout, and run this again\n"
        )


def _row(move: Move, planes: ControlPlanes) -> tuple[Cell, ...]:
    step = (move.step.value, _COLOURS.get(move.step.value, "yellow"))
    namespace = move.subject.namespace
    return planes.at(namespace).title, namespace, str(len(move.situation.pods)), step, move.why


def _head(binding: Binding, course: Course) -> dict[str, Any]:
    return {"binding": binding.name, "to": course.target.value, "switched": course.switched}


def _document(found: Migration) -> dict[str, Any]:
    """All of it in plain values; keys and their meaning are in docs/use/commands.md."""
    return {
        **_head(found.binding, found.course),
        "serviceAccounts": [
            {
                **subject_fields(move.subject, found.planes),
                "next": move.step.value,
                "why": move.why,
                "podsToReplace": move.situation.pods,
            }
            for move in found.moves
        ],
        "statementIn": [role.value for role in found.statement_in],
    }
