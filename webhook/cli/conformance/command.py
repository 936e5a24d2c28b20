"""`conformance`: the proof that an account of AWS behaves as this program assumes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from webhook.cli.conformance.shown import ConformanceOutput, Shown
from webhook.cli.options import Context, flag, valued, whole_number
from webhook.cli.running import run

_CLUSTER = "The cluster's name in EKS, which --context leads to. Without it only IAM is asked."
_WATCH = "For how many seconds to go on asking whether what was seen stays so."


def conformance(  # noqa: PLR0913  options
    cluster: Annotated[str | None, valued(_CLUSTER, "NAME")] = None,
    namespace: Annotated[
        str, valued("Where to make a throw-away ServiceAccount and pod.", "NAME", default=True)
    ] = "default",
    context: Context = None,
    watch: Annotated[int, typer.Option(parser=whole_number(0), metavar="SECONDS", help=_WATCH)] = 30,
    output: Annotated[
        ConformanceOutput, typer.Option("--output", "-o", help="How to print the result.")
    ] = ConformanceOutput.MARKDOWN,
    *,
    approve: Annotated[bool, flag("--approve", "Make the throw-away objects, and remove them.")] = False,
) -> None:
    """Ask AWS whether it behaves as this program assumes, with throw-away roles. Without `--approve`: the rights.

    The roles have the path `/mxp-identity-conformance/`, and no right in the account but on themselves. All that
    is made is removed at the end, also after Ctrl-C. Standard output has the result alone, which names neither
    account nor cluster, so that it can be sent to others.

    Exit code 0: all that was asked holds. 3: without `--approve`. 4: something does not hold, could not be
    observed, or could not be removed.
    """
    from webhook.cli.conformance.working import Asked, conform
    from webhook.model.errors import InvalidNameError
    from webhook.model.names import is_cluster_name, is_namespace_name

    if cluster is not None and not is_cluster_name(cluster):
        raise InvalidNameError(f"--cluster {cluster!r} is not the name of an EKS cluster")
    if not is_namespace_name(namespace):
        raise InvalidNameError(f"--namespace {namespace!r} is not the name of a namespace")
    asked = Asked(cluster, namespace, context, float(watch), approve)
    shown = Shown(output, approved=approve)
    sys.exit(run(lambda progress: conform(asked, shown, progress.step)))
