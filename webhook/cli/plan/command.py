"""`plan`: what a pass would do and why."""

from __future__ import annotations

import sys

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace
from webhook.cli.output import Output, write_document, write_lines
from webhook.cli.plan.shown import plan_document, plan_lines


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
    from webhook.cli.plan.planning import make_plan_here
    from webhook.cli.snapshots.session import Where, run_in_session

    found, planes = run_in_session(Where(config, release_namespace, context), make_plan_here)
    if output is Output.TABLE:
        write_lines(plan_lines(found, planes))
    else:
        write_document(plan_document(found, planes), output)
    sys.exit(Exit.of(changes=found.has_changes, problems=bool(found.problems)))
