"""`conformance`: the proof that an account of AWS behaves as this program assumes."""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook import VERSION
from webhook.cli.conformance.observation import Verdict
from webhook.cli.conformance.permissions import IN_KUBERNETES, policy
from webhook.cli.options import Context, flag, valued, whole_number
from webhook.cli.output import Output, write_document
from webhook.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.cli.conformance.lab import Left, Made
    from webhook.cli.conformance.observation import Row
    from webhook.cli.conformance.permissions import Scope

_LACKING = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
"""How IAM words a right that is missing (IAM user guide, access denied error messages)."""

_CALLER = re.compile(r"(?<=User: )arn:\S+")
_ISSUER = re.compile(r"oidc\.eks\.\S+?/id/[0-9A-F]{32}")

_CLUSTER = "The cluster's name in EKS, which --context leads to. Without it only IAM is asked."
_WATCH = "For how many seconds to go on asking whether what was seen stays so."


class ConformanceOutput(StrEnum):
    """The forms that the result has."""

    MARKDOWN = "markdown"
    JSON = "json"


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
    from webhook.cli.conformance.run import Asked, conform
    from webhook.model.errors import InvalidNameError
    from webhook.model.names import is_cluster_name, is_namespace_name

    if cluster is not None and not is_cluster_name(cluster):
        raise InvalidNameError(f"--cluster {cluster!r} is not the name of an EKS cluster")
    if not is_namespace_name(namespace):
        raise InvalidNameError(f"--namespace {namespace!r} is not the name of a namespace")
    asked = Asked(cluster, namespace, context, float(watch), approve)
    shown = Shown(output, approved=approve)
    sys.exit(run(lambda progress: conform(asked, shown, progress.step)))


class Shown:
    """Prints one run: the rights first, then the result, as Markdown or JSON, fit to be sent to others.

    The result names neither account nor cluster nor caller. All else is for the person alone, on standard error.
    """

    def __init__(self, output: ConformanceOutput, *, approved: bool) -> None:
        self._output = output
        self._approved = approved
        self._scope: Scope | None = None
        self._region = ""

    def rights(self, scope: Scope, region: str, namespace: str) -> None:
        """Print where it works and what it needs; without approval that is all, and the result."""
        self._scope, self._region = scope, region
        document = policy(scope)
        in_cluster = [{"resource": resource, "verbs": list(verbs)} for resource, verbs in IN_KUBERNETES]
        cluster = scope.cluster.name if scope.cluster else None
        if self._output is ConformanceOutput.JSON and not self._approved:
            place = {"account": scope.account, "region": region, "cluster": cluster}
            needs = {"aws": document, "kubernetes": in_cluster if cluster else []}
            write_document({**place, "rights": needs}, Output.JSON)
            return
        lines = [
            f"account {scope.account}, region {region}, cluster {cluster or 'none: only IAM is asked'}",
            "rights in AWS:",
            json.dumps(document, indent=2),
        ]
        if cluster:
            verbs = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in IN_KUBERNETES)
            lines.append(f"rights in Kubernetes, namespace {namespace}: {verbs}")
        if not self._approved:
            lines.append("next: the same with --approve, which makes and removes throw-away objects")
        stream = sys.stderr if self._approved else sys.stdout
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()

    def leftover(self, made: Made) -> None:
        """Print what an earlier run has left, which is removed now."""
        sys.stderr.write(f"left by an earlier run: {made.what}\n")

    def left(self, left: Sequence[Left]) -> None:
        """Print what could not be removed."""
        for one in left:
            sys.stderr.write(f"not removed: {one.what}: {one.reason}\n  {one.command}\n")
        sys.stderr.flush()

    def result(self, rows: Sequence[Row], left: Sequence[Left]) -> None:
        """Print the result."""
        # A violated row may be about a session that is refused, and not about the caller.
        observations = (row.observation for row in rows)
        unseen = [one.text for one in observations if one.verdict is Verdict.NOT_OBSERVED]
        reasons = [*unseen, *(one.reason for one in left)]
        document: dict[str, Any] = {
            "version": VERSION,
            "partition": self._scope.partition if self._scope else "",
            "region": self._region,
            "rows": [self._fields(row) for row in rows],
            "missingRights": sorted({found for text in reasons for found in _LACKING.findall(text)}),
            "notRemoved": [self._clean(one.what) for one in left],
        }
        if self._output is ConformanceOutput.JSON:
            write_document(document, Output.JSON)
        else:
            sys.stdout.writelines(f"{line}\n" for line in _markdown(document))

    def _fields(self, row: Row) -> dict[str, str]:
        return {
            "id": row.assumption.id,
            "service": row.assumption.service.value,
            "expected": row.assumption.expected,
            "observed": self._clean(row.observation.text),
            "verdict": row.observation.verdict.value,
            "module": row.assumption.module,
            "otherwise": row.assumption.otherwise if row.observation.verdict is Verdict.VIOLATED else "",
        }

    def _clean(self, text: str) -> str:
        """The text without what names the account, the cluster or the caller."""
        text = _ISSUER.sub("<issuer>", _CALLER.sub("<caller>", text))
        if self._scope is not None:
            text = text.replace(self._scope.account, "<account>")
            if self._scope.cluster is not None:
                text = re.sub(rf"\b{re.escape(self._scope.cluster.name)}\b", "<cluster>", text)
        return text


def _markdown(document: dict[str, Any]) -> list[str]:
    rows = document["rows"]
    counts = [(one.value, sum(row["verdict"] == one for row in rows)) for one in Verdict]
    lines = [
        "# Conformance",
        "",
        f"mxp-identity {document['version']}, partition {document['partition']}, region {document['region']}: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts if count),
        "",
        "| row | expected | observed | verdict | relied on by |",
        "|---|---|---|---|---|",
        *(
            _line(
                [f"{row['service']} {row['id']}", row["expected"], row["observed"], row["verdict"], row["module"]]
            )
            for row in rows
        ),
    ]
    if violated := [row for row in rows if row["otherwise"]]:
        lines += ["", "What the program does then:", ""]
        lines += [f"- {row['id']}: {row['otherwise']}" for row in violated]
    if document["missingRights"]:
        lines += ["", f"Missing rights: {', '.join(document['missingRights'])}"]
    if document["notRemoved"]:
        lines += ["", f"Not removed: {', '.join(document['notRemoved'])}"]
    return lines


def _line(cells: Sequence[str]) -> str:
    """A row of a table of Markdown, in which `|` ends a cell."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
