"""`report`: which principals may assume which role, and why."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.options import ConfigFile, Context, ControlPlaneName, Group, Namespace, ReleaseNamespace, flag
from webhook.cli.output import Output, console, write_document
from webhook.model.control_planes import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.report.access import Access
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.control_planes import ControlPlanes


class ReportOutput(StrEnum):
    """The forms that the report has."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


_WIDTH = 100
"""Characters of a line: what a terminal has, and a page of documentation."""


def report(  # noqa: PLR0913, PLR0917  options
    control_plane: ControlPlaneName = None,
    group: Group = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: Annotated[ReportOutput, typer.Option("--output", "-o", help="How to print it.")] = ReportOutput.TABLE,
    *,
    differences: Annotated[bool, flag("--differences", "Only what a person should look into.")] = False,
) -> None:
    """Print which principals may assume which role and why: every control plane, and every other statement.

    Differences are control planes that should be trusted or associated and are not, or are and should not be, that
    a Deny denies, statements of clusters without an OIDC provider, and roles that no binding names.

    Exit code 0, whatever it shows.
    """
    from webhook.cli.snapshots.session import Where, run_in_session
    from webhook.model.control_planes import Choice

    where = Where(config, release_namespace, context, Choice(control_plane, group, namespace))
    found, planes = run_in_session(where, _look)
    if differences:
        found = [line for line in found if line.finding.is_difference]
    match output:
        case ReportOutput.TABLE:
            _write_table(found, planes)
            _write_summary(found)
        case ReportOutput.CSV:
            _write_csv([_record(line, planes) for line in found])
        case _:
            write_document({"access": [_record(line, planes) for line in found]}, Output(output))


async def _look(here: Session, progress: Progress) -> tuple[list[Access], ControlPlanes]:
    from webhook.cli.report.statements import accesses, provider_arns
    from webhook.cli.snapshots.release import roles_written_before
    from webhook.model.bindings import trusted_roles
    from webhook.model.control_planes import ControlPlanes

    written = await roles_written_before(here.connection, here.namespace)
    cluster, account = await here.read(progress, written - trusted_roles(here.installation.bindings))
    exist = {provider: await _exists(here, provider) for provider in sorted(provider_arns(account))}
    found = accesses(here.installation, cluster, account, exist)
    if here.chosen is not None:
        found = [line for line in found if line.namespace in here.chosen]
    return found, ControlPlanes(cluster.namespaces.values())


async def _exists(here: Session, provider: str) -> bool | None:
    """Whether the account has an OIDC provider; None where AWS does not answer."""
    from webhook.aws.cluster import read_provider
    from webhook.model.aws_errors import AwsError

    try:
        return (await read_provider(here.calls, provider)).audiences is not None
    except AwsError:
        return None


_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
_STYLES = {"as-wanted": "green", "external": "dim", "another-cluster": "dim"}


def _write_table(found: list[Access], planes: ControlPlanes) -> None:
    """Each role, and under it what was found of whom, and why."""
    from rich.text import Text

    screen = console(_WIDTH)
    indent = 2 + max((len(line.finding.value) for line in found), default=0)
    for role, lines in groupby(found, key=lambda line: line.role):
        screen.print(Text(role.value, style="bold"))
        for line in lines:
            style = _STYLES.get(line.finding.value, "yellow" if line.finding.is_difference else "")
            words = Text("\n".join(_words(line, planes)))
            begin = Text(line.finding.value.ljust(indent), style)
            for part in words.wrap(screen, screen.width - indent, overflow="fold"):
                part.rstrip()
                screen.print(begin + part, soft_wrap=True)
                begin = Text(" " * indent)
        screen.print()


def _words(line: Access, planes: ControlPlanes) -> Iterator[str]:
    """Of whom it is, and by what and why."""
    title = planes.at(line.namespace).title if line.namespace else ""
    yield "  ".join(filter(None, (title, _SERVICE_ACCOUNT.sub(r"\1/\2", line.principal))))
    by = [str(line.place)] if line.place else []
    if line.association and line.owner:
        by.append(f"association {line.association} ({line.owner_arn or line.owner.value})")
    yield ": ".join(filter(None, (", ".join(by), line.why)))


def _record(line: Access, planes: ControlPlanes) -> dict[str, Any]:
    names = planes.at(line.namespace).fields if line.namespace else ControlPlane("").fields
    return {
        "role": line.role.value,
        "principal": line.principal,
        **names,
        "namespace": line.namespace,
        "issuer": line.issuer,
        "statement": line.place.index + 1 if line.place else None,
        "sid": line.place.sid if line.place else None,
        "association": line.association,
        "owner": line.owner.value if line.owner else None,
        "ownerArn": line.owner_arn,
        "finding": line.finding.value,
        "difference": line.finding.is_difference,
        "why": line.why,
    }


def _write_summary(found: list[Access]) -> None:
    roles = len({line.role for line in found})
    planes = len({line.principal for line in found if line.namespace})
    differences = sum(line.finding.is_difference for line in found)
    sys.stdout.write(f"roles: {roles}, ServiceAccounts of this cluster: {planes}, differences: {differences}\n")


def _write_csv(records: list[dict[str, Any]]) -> None:
    import csv

    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)


_CSV_COLUMNS = (
    "role", "principal", "controlPlane", "group", "namespace", "issuer", "statement", "sid", "association",
    "owner", "ownerArn", "finding", "difference", "why",
)  # fmt: skip
