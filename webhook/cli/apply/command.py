"""`apply`: the plan, carried out once."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, OwnNamespace
from webhook.cli.output import Output, write_document
from webhook.cli.plan.command import make_plan_here
from webhook.cli.plan.shown import plan_document, show_plan
from webhook.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.apply.engine import Done
    from webhook.cli.progress import Progress
    from webhook.cli.snapshots.session import Session, Where
    from webhook.model.names import IssuerUrl, RoleArn
    from webhook.planning.plan import Plan

_RETIRE = "Retire what is gone, and do nothing else"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person asks for."""

    where: Where
    output: Output
    approved: bool
    issuer: str | None
    installation: str | None
    role: str | None

    def show_plan_first(self, plan: Plan) -> None:
        """Print the plan before anything of it is done; a document for programs is printed whole at the end."""
        if self.output is Output.TABLE:
            show_plan(plan, self.output)
            sys.stdout.flush()


def apply(  # noqa: PLR0913  options
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[
        bool, typer.Option("--approve", metavar="", help="Remove too what the plan removes.")
    ] = False,
    retire_issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Only remove the statements that a cluster which is gone has left behind.",
            show_default=False,
            rich_help_panel=_RETIRE,
        ),
    ] = None,
    installation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --retire-issuer: the installation of that cluster. Without it: this one's.",
            show_default=False,
            rich_help_panel=_RETIRE,
        ),
    ] = None,
    retire_role: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="Only remove our statement from a role that no binding names any more.",
            show_default=False,
            rich_help_panel=_RETIRE,
        ),
    ] = None,
) -> None:
    """Print the plan and carry it out once: trust, annotations, and with `--approve` removals.

    It works under the same locks as the running program and may be run beside it. Without `--approve`, removals
    are left to the reconciler and its grace; with it they are done now, each ServiceAccount being looked up once
    more right before. So a person approves what waits for the limit of an hour.

    Exit code 0: done, or nothing to do. 1: not all could be done. 3: a statement was not retired for want of
    `--approve`. 4: what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where

    if retire_issuer is not None and retire_role is not None:
        raise typer.BadParameter("--retire-issuer and --retire-role are two calls")
    if installation is not None and retire_issuer is None:
        raise typer.BadParameter("--installation goes with --retire-issuer")
    where = Where(config, namespace, context)
    asked = _Asked(where, output, approve, retire_issuer, installation, retire_role)
    # An empty one is a variable of a script that was not set, and must not come to a whole apply.
    work = _apply if retire_issuer is None and retire_role is None else _retire
    sys.exit(run(lambda progress: work(asked, progress)))


async def _apply(asked: _Asked, progress: Progress) -> Exit:
    from webhook.cli.apply.engine import Done, add_and_repair, hands, remove
    from webhook.cli.snapshots.session import open_session

    async with open_session(asked.where) as here:
        plan = await make_plan_here(here, progress)
        progress.hide()
        asked.show_plan_first(plan)
        if not plan.has_changes:
            return _told(asked, plan, Done())
        done = Done()
        with _told_if_cut_off(asked, plan, done, progress):
            progress.step("watching the cluster")
            async with hands(here, done) as by:
                progress.step("writing what is missing")
                await add_and_repair(by, plan, progress.count)
                if asked.approved:
                    progress.step("removing")
                    await remove(by, plan, progress.count)
        if plan.removals and not asked.approved and asked.output is Output.TABLE:
            left = f"left to the reconciler, its grace and its limit, or to --approve: {plan.removals} to remove"
            sys.stdout.write(f"{left}\n")
        return _told(asked, plan, done)


async def _retire(asked: _Asked, progress: Progress) -> Exit:
    from webhook.cli.apply.engine import Done
    from webhook.cli.apply.retiring import retire_here
    from webhook.cli.snapshots.session import open_session
    from webhook.model.names import IssuerUrl, RoleArn

    retired = RoleArn(asked.role) if asked.role is not None else IssuerUrl(asked.issuer or "")
    async with open_session(asked.where) as here:
        progress.step("reading trust policies")
        plan = await _plan_to_retire(retired, asked, here, progress)
        progress.hide()
        asked.show_plan_first(plan)
        if not plan.has_changes:
            return _told(asked, plan, Done())
        if not asked.approved:
            if asked.output is Output.TABLE:
                sys.stdout.write("nothing is removed without --approve\n")
            return _told(asked, plan, Done(), is_left=True)
        done = Done()
        with _told_if_cut_off(asked, plan, done, progress):
            progress.step("removing")
            await retire_here(here, plan, progress.count, done)
        return _told(asked, plan, done)


async def _plan_to_retire(retired: RoleArn | IssuerUrl, asked: _Asked, here: Session, progress: Progress) -> Plan:
    from webhook.cli.apply.retirement import retire_issuer, retire_role
    from webhook.cli.snapshots.leases import roles_written_before
    from webhook.model.names import RoleArn

    if isinstance(retired, RoleArn):
        written = await roles_written_before(here.connection, here.namespace)
        account = await here.read_account(progress.count, {retired, *written})
        return retire_role(retired, here.installation, account)
    account = await here.read_account(progress.count)
    return retire_issuer(retired, asked.installation or here.installation.name, here.installation, account)


@contextmanager
def _told_if_cut_off(asked: _Asked, plan: Plan, done: Done, progress: Progress) -> Iterator[None]:
    """Hide the progress in the end, and tell what was done by then where something ends it early."""
    try:
        yield
    except BaseException:  # Ctrl-C too
        progress.hide()
        _told(asked, plan, done)
        raise
    progress.hide()


def _told(asked: _Asked, plan: Plan, done: Done, *, is_left: bool = False) -> Exit:
    """Print what was done and what was not, and answer the exit code; `is_left`: for want of --approve."""
    if asked.output is Output.TABLE:
        sys.stdout.write("".join(f"done: {line}\n" for line in done.written))
    else:
        write_document({**plan_document(plan), "done": done.written, "notDone": done.failed}, asked.output)
    sys.stderr.write("".join(f"not done: {line}\n" for line in done.failed))
    if done.failed:
        return Exit.FAILED
    if is_left:
        return Exit.CHANGES
    return Exit.PROBLEMS if plan.problems else Exit.DONE
