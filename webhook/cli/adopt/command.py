"""`adopt`: what people made by hand becomes managed."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace, flag
from webhook.cli.output import Output, write_done

if TYPE_CHECKING:
    from webhook.cli.adopt.planning import Adoption, Asked
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.names import Subject

_BINDING = "Only the roles and ServiceAccounts of this binding. Without it: of all."
_KEEP = "A statement, by its Sid, or an association, by its id, that stays as it is. May be given more than once."
_WILDCARDS = "Replace wildcards too, by the ServiceAccounts that bindings want; all others lose access."


def adopt(  # noqa: PLR0913  each is an option
    binding: Annotated[str | None, typer.Argument(metavar="BINDING", help=_BINDING, show_default=False)] = None,
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="SID", help=_KEEP, show_default=False)
    ] = None,
    replace_wildcards: Annotated[bool, flag("--replace-wildcards", _WILDCARDS)] = False,
    approve: Annotated[bool, flag("--approve", "Do it.")] = False,
) -> None:
    """Take over trust and associations that were made by hand, without a moment without access. First: the plan.

    Statements that name nothing but bound ServiceAccounts of this cluster move into the managed statement, and
    associations that give a bound role are tagged as managed. All else stays as it is; the plan says why. The next
    run continues one that was cut off.

    Exit code 0: nothing is left to take over. 1: not all could be done. 3: there is something to do. 4: there is
    nothing to do, but problems that only a person can correct.
    """
    from webhook.cli.adopt.planning import Asked
    from webhook.cli.snapshots.session import Where, run_in_session

    asked = Asked(binding, frozenset(keep or ()), replace_wildcards)
    work = partial(_adopt, asked=asked, approved=approve, output=output)
    sys.exit(run_in_session(Where(config, release_namespace, context), work))


async def _adopt(here: Session, progress: Progress, *, asked: Asked, approved: bool, output: Output) -> Exit:
    from webhook.cli.adopt.adopting import adopt as carry_out
    from webhook.cli.adopt.shown import adoption_document, show_adoption, summary
    from webhook.cli.apply.engine import Done

    plan, done = await _look(here, asked, progress), Done()
    progress.hide()
    if output is Output.TABLE:
        show_adoption(plan)
        if plan.has_changes and not approved:
            sys.stdout.write("nothing is changed without --approve\n")
        sys.stdout.flush()
    left = plan
    try:
        if approved and plan.has_changes:
            progress.step("taking over")
            await carry_out(here, plan, progress.count, done)
            left = await _look(here, asked, progress)
    finally:  # Ctrl-C too
        progress.hide()
        write_done(done, output, adoption_document(plan))
    if done.failed:
        return Exit.FAILED
    if left.has_changes:
        if approved and output is Output.TABLE:
            sys.stdout.write(f"left to do, by running it again: {summary(left)}\n")
        return Exit.CHANGES
    return Exit.PROBLEMS if left.problems else Exit.DONE


async def _look(here: Session, asked: Asked, progress: Progress) -> Adoption:
    """Read cluster and account, and plan. Raises InvalidNameError for a name that there is not."""
    from webhook.cli.adopt.planning import check_asked, plan_adoption
    from webhook.cli.snapshots.inspection import Inspection

    cluster, account = await here.read(progress)
    check_asked(asked, here.installation, account)
    accounts: dict[Subject, str | None] = {}
    if asked.replace_wildcards:
        progress.step("listing all ServiceAccounts")
        accounts = await Inspection(here.connection).all_accounts()
    return plan_adoption(here.installation, cluster, account, accounts, asked)
