"""`migrate`: a binding from IRSA to Pod Identity, or back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, OwnNamespace
from webhook.cli.output import Output, write_document, write_table
from webhook.cli.running import run

if TYPE_CHECKING:
    from webhook.cli.apply.engine import Done
    from webhook.cli.migrate.rules import Course, Migration, Move
    from webhook.cli.migrate.session import MigrationSession
    from webhook.cli.progress import Progress
    from webhook.cli.snapshots.session import Where
    from webhook.model.bindings import Binding


class Way(StrEnum):
    """The modes that a binding can go to."""

    IRSA = "irsa"
    POD_IDENTITY = "pod-identity"


_COLUMNS = ("namespace", "pods to replace", "next", "why")
_COLOURS = {"leave": "red", "switch": "bold"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person asks for."""

    where: Where
    binding: str
    to: Way
    approved: bool
    at_a_time: int | None
    output: Output


def migrate(  # noqa: PLR0913, PLR0917  each is an option
    binding: Annotated[str, typer.Argument(metavar="BINDING", help="The binding's name.", show_default=False)],
    to: Annotated[Way, typer.Option("--to", help="The mode that it goes to.", show_default=False)],
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[bool, typer.Option("--approve", help="Do it, as far as it goes now.")] = False,
    at_a_time: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many ServiceAccounts at a time. By default as for restarts.", show_default=False
        ),
    ] = None,
) -> None:
    """Move a binding from IRSA to Pod Identity, or back, without a moment without access. First: the plan.

    Run it, give the binding its new mode in the running program's configuration, and run it again: the new way is
    added, pods are replaced, and the old way is taken away where no pod carries its variables any more. A run that
    was cut off is taken up by the next.

    Exit code 0: all is moved. 3: there is something to do. 4: what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where

    asked = _Asked(Where(config, namespace, context), binding, to, approve, at_a_time, output)
    sys.exit(run(lambda progress: _migrate(asked, progress)))


async def _migrate(asked: _Asked, progress: Progress) -> Exit:
    from webhook.cli.apply.engine import Done
    from webhook.cli.migrate.session import look_at_migration, open_migration
    from webhook.cli.snapshots.session import open_session
    from webhook.model.bindings import Mode

    async with open_session(asked.where) as here:
        progress.step("asking AWS who this is, and which cluster")
        session = await open_migration(here, asked.binding, Mode(asked.to.value))
        done = Done()
        try:
            found = await look_at_migration(session, progress.step, progress.count)
            if asked.approved and not found.is_done:
                await _carry_out(session, found, asked, progress, done)
                found = await look_at_migration(session, progress.step, progress.count)
        except BaseException:  # Ctrl-C too
            progress.hide()
            _show_cut_off(session, asked.output, done)
            raise
        finally:
            session.close()
        progress.hide()
        if asked.output is Output.TABLE:
            _show(found, done)
        else:
            write_document(_document(found, done), asked.output)
        _tell_failed(done)
        return _exit_code(found, done)


async def _carry_out(
    session: MigrationSession, found: Migration, asked: _Asked, progress: Progress, done: Done
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
        found = await look_at_migration(session, progress.step, progress.count)
    if found.at(MigrationStep.DETACH, MigrationStep.RESTART, MigrationStep.REMOVE):
        progress.step("replacing pods, and removing the old way")
        limits = RolloutLimits(asked.at_a_time or section.restarts_at_a_time, section.restart_timeout)
        await move_on(session, found, limits, progress.count, done)
        found = await look_at_migration(session, progress.step, progress.count)
    if found.drops_statement:
        progress.step("removing the statement for pods")
        await drop_statement(session, found, done)


def _show(found: Migration, done: Done) -> None:
    """What is left, and how far all are."""
    from webhook.cli.migrate.rules import MigrationStep

    _tell_written(done)
    left = [move for move in found.moves if move.step is not MigrationStep.MOVED]
    if left:
        write_table(_COLUMNS, [_row(move) for move in left])
    counts = ", ".join(f"{len(found.at(step))} {step}" for step in MigrationStep if found.at(step))
    sys.stdout.write(f"binding {found.binding.name} to {found.course.target}: {counts or 'no ServiceAccounts'}\n")
    if found.statement_in:
        sys.stdout.write("its statement for pods goes last\n")
    if (
        found.at(MigrationStep.ADD, MigrationStep.DETACH, MigrationStep.RESTART, MigrationStep.REMOVE)
        or found.drops_statement
    ):
        sys.stdout.write("--approve does what can be done now\n")
    elif found.waits_for_switch:
        sys.stdout.write(
            f"give the binding mode {found.course.target} in the running program's configuration, wait for its "
            "rollout, and run this again\n"
        )


def _show_cut_off(session: MigrationSession, output: Output, done: Done) -> None:
    """What was done before something ended the command, which says itself what; how far all are is not known."""
    if output is Output.TABLE:
        _tell_written(done)
    elif done.written or done.failed:
        write_document(_document_of(session.binding, session.course, done), output)
    _tell_failed(done)


def _tell_written(done: Done) -> None:
    sys.stdout.writelines(f"done: {line}\n" for line in done.written)


def _tell_failed(done: Done) -> None:
    sys.stderr.writelines(f"not done: {line}\n" for line in done.failed)


def _row(move: Move) -> tuple[tuple[str, str] | str, ...]:
    pods = sum(len(workload.pods) for workload in move.situation.workloads)
    step = (move.step.value, _COLOURS.get(move.step.value, "yellow"))
    return move.subject.namespace, str(pods), step, move.why


def _document(found: Migration, done: Done) -> dict[str, Any]:
    """All of it in plain values; keys and their meaning are in docs/use/commands.md."""
    return {
        **_document_of(found.binding, found.course, done),
        "serviceAccounts": [_record(move) for move in found.moves],
        "statementIn": [role.value for role in found.statement_in],
    }


def _document_of(binding: Binding, course: Course, done: Done) -> dict[str, Any]:
    return {
        "binding": binding.name,
        "to": course.target.value,
        "switched": course.switched,
        "done": done.written,
        "notDone": done.failed,
    }


def _record(move: Move) -> dict[str, Any]:
    return {
        "namespace": move.subject.namespace,
        "serviceAccount": move.subject.service_account,
        "next": move.step.value,
        "why": move.why,
        "podsToReplace": [pod for workload in move.situation.workloads for pod in workload.pods],
    }


def _exit_code(found: Migration, done: Done) -> Exit:
    from webhook.cli.migrate.rules import MigrationStep

    if done.failed:
        return Exit.FAILED
    if found.is_done:
        return Exit.DONE
    goes_on = found.drops_statement or (found.waits_for_switch and not found.at(MigrationStep.LEAVE))
    if len(found.at(MigrationStep.MOVED, MigrationStep.LEAVE)) == len(found.moves) and not goes_on:
        return Exit.PROBLEMS
    return Exit.CHANGES
