"""`apply`: the plan, carried out once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OwnNamespace
from webhook.cli.output import Output
from webhook.cli.plan import make_plan_here
from webhook.cli.plan_shown import show_plan
from webhook.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.cli.progress import Progress
    from webhook.survey.session import Where


def apply(  # noqa: PLR0913  options
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    *,
    approve: Annotated[bool, typer.Option("--approve", help="Remove too, what the plan removes.")] = False,
    retire_issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Instead: remove the statement that a cluster which is gone left.",
            show_default=False,
        ),
    ] = None,
    installation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --retire-issuer: that cluster's installation.", show_default="this one's"
        ),
    ] = None,
    retire_role: Annotated[
        str | None,
        typer.Option(
            metavar="ARN", help="Instead: remove our statement from a role no longer bound.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the plan and carry it out once, under the same locks as the running program.

    What the plan removes is removed only with --approve, each ServiceAccount being looked up again right before:
    without it, that is left to the reconciler and its grace. A sweep that the reconciler refused goes through this
    way. --retire-issuer and --retire-role do nothing else, and need --approve too.
    """
    from webhook.survey.session import Where

    where = Where(config, namespace, context)
    if retire_issuer and retire_role:
        raise typer.BadParameter("--retire-issuer and --retire-role are two calls")
    if retire_issuer or retire_role:
        code = run(lambda progress: _retire(where, retire_issuer, installation, retire_role, approve, progress))
    else:
        code = run(lambda progress: _apply(where, approve, progress))
    sys.exit(code)


async def _apply(where: Where, approve: bool, progress: Progress) -> Exit:  # noqa: FBT001  an option
    from webhook.approved.carrying_out import add_and_repair, hands, remove
    from webhook.survey.session import session

    async with session(where) as here:
        plan = await make_plan_here(here, progress)
        progress.hide()
        show_plan(plan, Output.TABLE)
        if not plan.has_changes:
            return Exit.PROBLEMS if plan.problems else Exit.DONE
        progress.step("watching the cluster")
        async with hands(here) as by:
            progress.step("writing what is missing")
            await add_and_repair(by, plan, progress.count)
            if approve:
                progress.step("removing")
                await remove(by, plan, progress.count)
        progress.hide()
        if plan.removals and not approve:
            sys.stdout.write(f"left to the reconciler and its grace, or to --approve: {plan.removals} to remove\n")
        return _told(by.done.written, by.done.failed, problems=bool(plan.problems))


async def _retire(  # noqa: PLR0913, PLR0917  options
    where: Where,
    issuer: str | None,
    installation: str | None,
    role: str | None,
    approve: bool,  # noqa: FBT001  an option
    progress: Progress,
) -> Exit:
    from webhook.approved.retiring import retire_here
    from webhook.domain.names import IssuerUrl, RoleArn
    from webhook.domain.retirement import retire_issuer, retire_role
    from webhook.survey.session import session

    async with session(where) as here:
        progress.step("reading trust policies")
        if role:
            retired = RoleArn(role)
            account = await here.look_at_account(progress.count, [retired])
            plan = retire_role(retired, here.installation, account)
        else:
            account = await here.look_at_account(progress.count)
            name = installation or here.installation.name
            plan = retire_issuer(IssuerUrl(issuer or ""), name, here.installation, account)
        progress.hide()
        show_plan(plan, Output.TABLE)
        if not plan.has_changes:
            return Exit.DONE
        if not approve:
            sys.stdout.write("nothing is removed without --approve\n")
            return Exit.CHANGES
        progress.step("removing")
        done = await retire_here(here, plan, progress.count)
        progress.hide()
        return _told(done.written, done.failed, problems=bool(plan.problems))


def _told(written: Iterable[str], failed: Iterable[str], *, problems: bool) -> Exit:
    """Print what was done and what was not, and answer the exit code."""
    for line in written:
        sys.stdout.write(f"done: {line}\n")
    failures = list(failed)
    for line in failures:
        sys.stderr.write(f"not done: {line}\n")
    if failures:
        return Exit.FAILED
    return Exit.PROBLEMS if problems else Exit.DONE
