"""`report`: which principals may assume which role, and why."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.options import ConfigFile, Context, OwnNamespace, flag
from webhook.cli.output import Output, write_document, write_table

if TYPE_CHECKING:
    from webhook.cli.report.access import Access
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session


class ReportOutput(StrEnum):
    """The forms that the report has."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


_COLUMNS = ("role", "principal", "statement", "association", "owner", "finding", "why")
_OF_ASSOCIATIONS = ("association", "owner")
"""Columns that a table has only where there is an association."""


def report(
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
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

    found = run_in_session(Where(config, namespace, context), _look)
    if differences:
        found = [line for line in found if line.finding.is_difference]
    match output:
        case ReportOutput.TABLE:
            columns = [name for name in _COLUMNS if name not in _OF_ASSOCIATIONS or any(map(_associated, found))]
            write_table(columns, [[_cells(line)[name] for name in columns] for line in found])
            _write_summary(found)
        case ReportOutput.CSV:
            _write_csv([_record(line) for line in found])
        case _:
            write_document({"access": [_record(line) for line in found]}, Output(output))


async def _look(here: Session, progress: Progress) -> list[Access]:
    from webhook.cli.report.statements import accesses, provider_arns
    from webhook.cli.snapshots.release import roles_written_before
    from webhook.model.bindings import trusted_roles

    written = await roles_written_before(here.connection, here.namespace)
    cluster, account = await here.read(progress, written - trusted_roles(here.installation.bindings))
    exist = {provider: await _exists(here, provider) for provider in sorted(provider_arns(account))}
    return accesses(here.installation, cluster, account, exist)


async def _exists(here: Session, provider: str) -> bool | None:
    """Whether the account has an OIDC provider; None where AWS does not answer."""
    from webhook.aws.oidc import read_provider
    from webhook.model.aws_errors import AwsError

    try:
        return (await read_provider(here.calls, provider)).audiences is not None
    except AwsError:
        return None


_STYLES = {"as wanted": "green", "external": "dim", "another cluster": "dim"}


def _associated(line: Access) -> bool:
    return line.association is not None


def _cells(line: Access) -> dict[str, tuple[str, str] | str]:
    principal = (
        line.principal.removeprefix("system:serviceaccount:").replace(":", "/")
        if line.namespace
        else line.principal
    )
    style = _STYLES.get(line.finding.value, "yellow" if line.finding.is_difference else "")
    return {
        "role": line.role.name,
        "principal": principal,
        "statement": str(line.place) if line.place else "-",
        "association": line.association or "-",
        "owner": line.owner or "-",
        "finding": (line.finding.value, style),
        "why": line.why,
    }


def _record(line: Access) -> dict[str, Any]:
    return {
        "role": line.role.value,
        "principal": line.principal,
        "namespace": line.namespace,
        "issuer": line.issuer,
        "statement": line.place.index + 1 if line.place else None,
        "sid": line.place.sid if line.place else None,
        "association": line.association,
        "owner": line.owner,
        "finding": line.finding.value,
        "difference": line.finding.is_difference,
        "why": line.why,
    }


def _write_summary(found: list[Access]) -> None:
    roles = len({line.role for line in found})
    planes = len({line.principal for line in found if line.namespace})
    differences = sum(line.finding.is_difference for line in found)
    sys.stdout.write(f"\nroles: {roles}, ServiceAccounts of this cluster: {planes}, differences: {differences}\n")


def _write_csv(records: list[dict[str, Any]]) -> None:
    import csv

    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)


_CSV_COLUMNS = (
    "role", "principal", "namespace", "issuer", "statement", "sid", "association", "owner", "finding",
    "difference", "why",
)  # fmt: skip
