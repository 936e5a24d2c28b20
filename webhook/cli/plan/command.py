"""`plan`: what a pass would do and why."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, OwnNamespace
from webhook.cli.output import Output
from webhook.cli.plan.shown import show_plan
from webhook.cli.running import run

if TYPE_CHECKING:
    from webhook.cli.progress import Progress
    from webhook.cli.snapshots.session import Session, Where
    from webhook.planning.plan import Plan


def plan(
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Print what `apply` would do to trust policies and annotations, and why.

    It compares cluster and AWS by the rules of the running program, and needs none that runs. It says how many
    removals wait because of that program's limit of an hour.

    Exit code 0: nothing to do. 3: there are changes. 4: there are none, but problems that only a person can mend.
    """
    from webhook.cli.snapshots.session import Where

    found = run(lambda progress: _plan(Where(config, namespace, context), progress))
    show_plan(found, output)
    sys.exit(exit_code(found))


def exit_code(found: Plan) -> Exit:
    """What scripts are told of a plan."""
    if found.has_changes:
        return Exit.CHANGES
    return Exit.PROBLEMS if found.problems else Exit.DONE


async def _plan(where: Where, progress: Progress) -> Plan:
    from webhook.cli.snapshots.session import open_session

    async with open_session(where) as here:
        return await make_plan_here(here, progress)


async def make_plan_here(here: Session, progress: Progress) -> Plan:
    """Look at cluster and account, and plan; with what a pass of the running program makes of the removals."""
    from webhook.planning.plan import make_plan

    progress.step("listing namespaces and ServiceAccounts")
    cluster = await here.read_cluster()
    progress.step("reading trust policies")
    account = await here.read_account(progress.count)
    if here.installation.eks is not None:
        progress.step("describing associations")
        account = await here.with_associations(account, progress.count)
    plan = replace(make_plan(here.installation, cluster, account), is_observed=here.configuration.observe)
    return replace(plan, forecast=await here.forecast(plan, account)) if plan.removals else plan
