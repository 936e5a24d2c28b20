"""`report`: who may assume which role and why."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.options import ConfigFile, Context, OwnNamespace
from webhook.cli.output import Output, write_document, write_table
from webhook.cli.running import run

if TYPE_CHECKING:
    from webhook.cli.progress import Progress
    from webhook.cli.report.access_line import Access, AccessFinding
    from webhook.cli.snapshots.session import Session, Where


class ReportOutput(StrEnum):
    """The forms that the report has."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


_COLUMNS = ("role", "who", "statement", "association", "owner", "finding", "why")
_OF_ASSOCIATIONS = ("association", "owner")
"""Columns that a table has only where there is an association."""


def report(
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: Annotated[ReportOutput, typer.Option("--output", "-o", help="How to print it.")] = ReportOutput.TABLE,
    *,
    differences: Annotated[
        bool, typer.Option("--differences", metavar="", help="Only what somebody should look into.")
    ] = False,
) -> None:
    """Print who may assume which role and why, for auditors: every control plane, and every other statement.

    Differences are control planes that should be trusted or associated and are not, or are and should not be, that
    a Deny keeps out, statements of clusters whose OIDC provider is gone, and roles that no binding names any more.

    Exit code 0, whatever it shows.
    """
    from webhook.cli.snapshots.session import Where

    found = run(lambda progress: _look(Where(config, namespace, context), progress))
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


async def _look(where: Where, progress: Progress) -> list[Access]:
    from webhook.cli.report.access import accesses, provider_arns
    from webhook.cli.snapshots.leases import roles_written_before
    from webhook.cli.snapshots.session import open_session
    from webhook.model.bindings import trusted_roles

    async with open_session(where) as here:
        progress.step("listing namespaces and ServiceAccounts")
        cluster = await here.read_cluster()
        written = await roles_written_before(here.connection, here.namespace)
        retired = written - trusted_roles(here.installation.bindings)
        progress.step("reading trust policies")
        account = await here.read_account(progress.count, retired)
        if here.installation.eks is not None:
            progress.step("describing associations")
            account = await here.with_associations(account, progress.count)
        providers = sorted(provider_arns(account))
        answers = await asyncio.gather(*(_exists(here, provider) for provider in providers))
        exist = dict(zip(providers, answers, strict=True))
        return accesses(here.installation, cluster, account, exist)


async def _exists(here: Session, provider: str) -> bool | None:
    """Whether the account has an OIDC provider; None where AWS does not say."""
    from webhook.aws.oidc import read_provider
    from webhook.model.aws_errors import AwsError

    try:
        return (await read_provider(here.calls, provider)).audiences is not None
    except AwsError:
        return None


_STYLES = {"as wanted": "green", "somebody else's": "dim", "another cluster's": "dim"}


def _style(finding: AccessFinding) -> str:
    return _STYLES.get(finding.value, "yellow" if finding.is_difference else "")


def _associated(line: Access) -> bool:
    return line.association is not None


def _cells(line: Access) -> dict[str, tuple[str, str] | str]:
    who = line.who.removeprefix("system:serviceaccount:").replace(":", "/") if line.namespace else line.who
    place = str(line.place) if line.place else "-"
    return {
        "role": line.role.name,
        "who": who,
        "statement": place,
        "association": line.association or "-",
        "owner": line.owner or "-",
        "finding": (line.finding.value, _style(line.finding)),
        "why": line.why,
    }


def _record(line: Access) -> dict[str, Any]:
    return {
        "role": line.role.value,
        "who": line.who,
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
    planes = len({line.who for line in found if line.namespace})
    differences = sum(line.finding.is_difference for line in found)
    sys.stdout.write(f"\nroles: {roles}, ServiceAccounts of this cluster: {planes}, differences: {differences}\n")


def _write_csv(records: list[dict[str, Any]]) -> None:
    import csv

    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)


_CSV_COLUMNS = (
    "role", "who", "namespace", "issuer", "statement", "sid", "association", "owner", "finding", "difference",
    "why",
)  # fmt: skip
