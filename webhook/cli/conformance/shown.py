"""What `conformance` prints: the rights first, then the result, as Markdown or JSON, fit to be sent to others.

The result names neither account nor cluster nor caller. All else is for the person alone, on standard error.
"""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from webhook import VERSION
from webhook.cli.conformance.observation import Verdict
from webhook.cli.conformance.permissions import IN_KUBERNETES, policy
from webhook.cli.output import Output, write_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.cli.conformance.cleanup import Left, Made
    from webhook.cli.conformance.observation import Row
    from webhook.cli.conformance.permissions import Scope

_LACKING = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
"""How IAM words a right that is missing (IAM user guide, access denied error messages)."""

_CALLER = re.compile(r"(?<=User: )arn:\S+")
_ISSUER = re.compile(r"oidc\.eks\.\S+?/id/[0-9A-F]{32}")


class ConformanceOutput(StrEnum):
    """The forms that the result has."""

    MARKDOWN = "markdown"
    JSON = "json"


class Shown:
    """Prints one run."""

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
