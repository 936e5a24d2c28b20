"""`plan`: what a pass would do and why."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace
from webhook.cli.output import Output
from webhook.cli.plan.shown import show_plan

if TYPE_CHECKING:
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.control_planes import ControlPlanes
    from webhook.planning.plan import Plan


def plan(
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Print what `apply` would do to trust policies and annotations, and why.

    It compares cluster and AWS by the rules of the running program, which need not run. It says how many removals
    wait for that program's hourly limit.

    Exit code 0: nothing to do. 3: there are changes. 4: there are none, but problems that only a person can
    correct.
    """
    from webhook.cli.snapshots.session import Where, run_in_session

    found, planes = run_in_session(Where(config, release_namespace, context), make_plan_here)
    show_plan(found, output, planes)
    problems = Exit.PROBLEMS if found.problems else Exit.DONE
    sys.exit(Exit.CHANGES if found.has_changes else problems)


async def make_plan_here(here: Session, progress: Progress) -> tuple[Plan, ControlPlanes]:
    """Read cluster and account, and plan; with how many removals a pass of the running program would do."""
    from webhook.model.control_planes import ControlPlanes
    from webhook.planning.plan import make_plan

    cluster, account = await here.read(progress)
    plan = replace(make_plan(here.installation, cluster, account), is_observed=here.configuration.observe)
    if plan.removals:
        plan = replace(plan, forecast=await here.forecast(plan, account))
    return plan, ControlPlanes(cluster.namespaces.values())
