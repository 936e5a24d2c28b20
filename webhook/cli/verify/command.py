"""`verify`: one control plane from end to end, or all of them."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import (
    ANY,
    ConfigFile,
    Context,
    ControlPlaneName,
    Group,
    Namespace,
    OutputForm,
    ReleaseNamespace,
    flag,
    valued,
)
from webhook.cli.output import Output, console, subject_fields, titled, write_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.cli.verify.findings import Diagnosis, Finding
    from webhook.model.control_planes import ControlPlanes

_MARKS = {"broken": ("x", "red"), "unknown": ("?", "yellow"), "note": ("i", "cyan"), "ok": ("ok", "green")}
"""Mark and style of each level."""

_BUCKET = (
    "With --assume: also list, write, read and remove an object there. Without NAME: in the configured buckets."
)


def verify(  # noqa: PLR0913, PLR0917  options
    control_plane: ControlPlaneName = None,
    group: Group = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    assume: Annotated[
        bool, flag("--assume", "Have STS assume the role with a token of the ServiceAccount, too.")
    ] = False,
    bucket: Annotated[str | None, valued(_BUCKET, "[NAME]")] = None,
) -> None:
    """Find what keeps a control plane from its AWS identity and its backups, with the command that corrects each.

    Without a name it looks at all of them and prints those with findings, worst first. It changes nothing: a
    ServiceAccount is sent through admission as a dry run. Only with --bucket it writes one object for each control
    plane, and removes it again. Run it again afterwards: some findings only show then.

    Exit code 0: all is well. 4: there are findings.
    """
    from webhook.cli.setup.prerequisites import check_bucket_name
    from webhook.cli.snapshots.session import Where, run_in_session
    from webhook.cli.verify.run import verify_here
    from webhook.model.control_planes import Choice

    if bucket is not None and not assume:
        raise typer.BadParameter("--bucket needs --assume: it is called with the credentials that STS issues")
    if bucket is not None and bucket != ANY:
        check_bucket_name(bucket)
    where = Where(config, release_namespace, context, Choice(control_plane, group, namespace))
    common, diagnoses, planes = run_in_session(
        where, partial(verify_here, assume=assume, bucket="" if bucket == ANY else bucket)
    )
    if output is Output.TABLE:
        is_one = control_plane is not None or namespace is not None
        _show(common, diagnoses, planes, whole=is_one)
    else:
        write_document(_document(common, diagnoses, planes), output)
    worst = [*(finding.level for finding in common), *(diagnosis.worst for diagnosis in diagnoses)]
    sys.exit(Exit.of(problems=not all(level.is_well for level in worst)))


def _show(common: list[Finding], diagnoses: list[Diagnosis], planes: ControlPlanes, *, whole: bool) -> None:
    """Print findings; of many control planes, only those that are not well."""
    screen = console()
    _show_findings(common)
    for diagnosis in diagnoses:
        shown = [one for one in diagnosis.findings if whole or not one.level.is_well]
        if shown:
            screen.print(f"\n{titled(diagnosis.subject, planes)}", style="bold")
            _show_findings(shown)
    bad = sum(not diagnosis.worst.is_well for diagnosis in diagnoses)
    screen.print(f"\nServiceAccounts: {len(diagnoses)}, with findings: {bad}", style="bold")


def _show_findings(findings: Iterable[Finding]) -> None:
    from rich.text import Text

    screen = console()
    for finding in findings:
        mark, style = _MARKS[finding.level.value]
        screen.print(Text.assemble((f"  {mark:2} {finding.check}: ", style), finding.message))
        for command in filter(None, (finding.fix, finding.template)):
            screen.print(Text(f"      {command}"), soft_wrap=True)  # to be copied: never broken


def _document(common: list[Finding], diagnoses: list[Diagnosis], planes: ControlPlanes) -> dict[str, Any]:
    return {
        "webhook": [_finding(finding) for finding in common],
        "controlPlanes": [
            {
                **subject_fields(diagnosis.subject, planes),
                "role": diagnosis.role.value if diagnosis.role else None,
                "worst": diagnosis.worst.value,
                "findings": [_finding(finding) for finding in diagnosis.findings],
            }
            for diagnosis in diagnoses
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check.value,
        "level": finding.level.value,
        "message": finding.message,
        "fix": finding.fix,
        "template": finding.template,
    }
