"""`withdraw`: leave nothing behind, or nothing but plain access."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace, flag
from webhook.cli.output import Output, write_done

if TYPE_CHECKING:
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session

_KEEP = "Leave access: statements become plain ones, associations lose the program's tags, annotations stay."


def withdraw(  # noqa: PLR0913  options
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    keep_access: Annotated[bool, flag("--keep-access", _KEEP)] = False,
    approve: Annotated[bool, flag("--approve", "Do it.")] = False,
) -> None:
    """Remove all that this installation has written to AWS and to the cluster. First: the plan.

    That is statements, associations, annotations and Leases. Run it once the release is uninstalled, with its
    configuration in `--config`. As long as the webhook is registered or a replica runs, it does nothing and prints
    what to do next. The next run continues one that was cut off.

    Exit code 0: nothing is left. 1: not all could be done. 3: there is something to do. 4: the release is still in
    force, or what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where, run_in_session

    work = partial(_withdraw, keeps_access=keep_access, approved=approve, output=output)
    sys.exit(run_in_session(Where(config, release_namespace, context), work))


async def _withdraw(
    here: Session, progress: Progress, *, keeps_access: bool, approved: bool, output: Output
) -> Exit:
    from webhook.cli.apply.engine import Done
    from webhook.cli.withdraw.carrying_out import carry_out
    from webhook.cli.withdraw.look import look
    from webhook.cli.withdraw.shown import document, show

    found, done = await look(here, progress, keeps_access=keeps_access), Done()
    plan = found.plan
    progress.hide()
    if output is Output.TABLE:
        show(found, approved=approved)
        sys.stdout.flush()
    try:
        if approved and plan.has_changes and not plan.obstacles:
            await carry_out(found, progress, done)
    finally:
        progress.hide()
        write_done(done, output, document(found))
    if done.failed:
        return Exit.FAILED
    if plan.obstacles or plan.problems:
        return Exit.PROBLEMS
    return Exit.CHANGES if plan.has_changes and not approved else Exit.DONE
