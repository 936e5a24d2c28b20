"""`verify`: one control plane from end to end, or all of them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, OwnNamespace
from webhook.cli.output import Output, console, write_document
from webhook.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.cli.progress import Progress
    from webhook.cli.snapshots.session import Session, Where
    from webhook.cli.verify.facts import Shared
    from webhook.cli.verify.findings import Finding
    from webhook.cli.verify.verdict import Diagnosis
    from webhook.model.names import RoleArn

_STYLES = {"broken": "red", "unknown": "yellow", "note": "cyan", "ok": "green"}
_MARKS = {"broken": "x", "unknown": "?", "note": "i", "ok": "+"}
_STS_PATIENCE = 30.0
"""Seconds that --assume waits for STS to see trust that was just written."""
_STS_AT_A_TIME = 16


def verify(  # noqa: PLR0913  options
    plane: Annotated[
        str | None,
        typer.Argument(
            metavar="NAMESPACE",
            help="The control plane's host namespace, mxp-...-system. Without it: all of them.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    namespace: OwnNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    assume: Annotated[
        bool,
        typer.Option(
            "--assume", metavar="", help="Have STS assume the role with a token of the ServiceAccount, too."
        ),
    ] = False,
) -> None:
    """Find what keeps a control plane from its AWS identity, with the command that mends each finding.

    Without a namespace it looks at all of them and prints those with findings, worst first. It changes nothing: a
    ServiceAccount is sent through admission as a dry run. Run it again after mending: some things only show then.

    Exit code 0: all is well. 4: there are findings.
    """
    from webhook.cli.snapshots.session import Where

    where = Where(config, namespace, context)
    common, diagnoses = run(lambda progress: _verify(where, plane, assume, progress))
    if output is Output.TABLE:
        _show(common, diagnoses, whole=plane is not None)
    else:
        write_document(_document(common, diagnoses), output)
    levels = [
        finding.level for finding in [*common, *(one for diagnosis in diagnoses for one in diagnosis.findings)]
    ]
    sys.exit(Exit.PROBLEMS if any(level.rank < _NOTE_RANK for level in levels) else Exit.DONE)


_NOTE_RANK = 2


async def _verify(
    where: Where,
    plane: str | None,
    assume: bool,  # noqa: FBT001  an option
    progress: Progress,
) -> tuple[list[Finding], list[Diagnosis]]:
    from dataclasses import replace

    from webhook.cli.snapshots.session import open_session
    from webhook.cli.verify.control_planes import read_control_planes, read_shared
    from webhook.cli.verify.findings import in_context
    from webhook.cli.verify.verdict import diagnose

    async with open_session(where) as here:
        progress.step("listing namespaces, ServiceAccounts and pods")
        cluster = await here.read_cluster()
        planes = await read_control_planes(here, cluster, plane)
        progress.step("reading trust policies and associations")
        shared = await read_shared(here, cluster, planes, progress.count)
        diagnoses = [diagnose(one, shared) for one in planes]
        progress.step("sending a ServiceAccount through admission")
        common = await _common(here, shared, diagnoses)
        if assume:
            progress.step("asking STS")
            diagnoses = await _with_sts(here, diagnoses, progress)
    common = list(in_context(common, where.context))
    diagnoses = [replace(one, findings=in_context(one.findings, where.context)) for one in diagnoses]
    return common, sorted(diagnoses, key=lambda diagnosis: (diagnosis.worst.rank, diagnosis.subject))


async def _common(here: Session, shared: Shared, diagnoses: list[Diagnosis]) -> list[Finding]:
    """What is found of the webhook itself, tried with the first control plane that a binding selects.

    One that is to be annotated comes first: only there an answer shows. A program that only observes is not tried.
    """
    from webhook.cli.verify.control_planes import try_admission
    from webhook.cli.verify.findings import note
    from webhook.cli.verify.own_identity import check_own_pods
    from webhook.cli.verify.registration import check_webhook

    if here.configuration.observe:
        observing = note("webhook", "only observes (observe: true), so that nothing gets an identity from it")
        return [observing, *check_own_pods(shared)]
    selected = [diagnosis for diagnosis in diagnoses if diagnosis.role is not None]
    tried = min(selected, key=lambda diagnosis: diagnosis.associates, default=None)
    trial = await try_admission(here, tried.subject, shows=not tried.associates) if tried else None
    self_managed = here.configuration.certificates.source == "self-managed"
    found = check_webhook(shared, trial, here.namespace, self_managed=self_managed)
    return [*found, *check_own_pods(shared)]


async def _with_sts(here: Session, diagnoses: list[Diagnosis], progress: Progress) -> list[Diagnosis]:
    """The diagnoses with what STS says, asked for a few at a time: who is refused takes long."""
    from dataclasses import replace

    slots, asked = asyncio.Semaphore(_STS_AT_A_TIME), 0

    async def ask(diagnosis: Diagnosis) -> Diagnosis:
        nonlocal asked
        if diagnosis.role is None:
            return diagnosis
        if diagnosis.associates:
            finding = _not_asked()
        else:
            async with slots:
                finding = await _ask_sts(here, diagnosis, diagnosis.role)
            asked += 1
            progress.count(f"STS has answered for {asked} of {total}", asked, total)
        return replace(diagnosis, findings=(*diagnosis.findings, finding))

    total = sum(diagnosis.role is not None and not diagnosis.associates for diagnosis in diagnoses)
    return await asyncio.gather(*(ask(diagnosis) for diagnosis in diagnoses))


def _not_asked() -> Finding:
    from webhook.cli.verify.findings import note

    return note("STS", "not asked: in mode pod-identity EKS assumes the role, and only for a pod's own token")


async def _ask_sts(here: Session, diagnosis: Diagnosis, role: RoleArn) -> Finding:
    from webhook.cli.snapshots.inspection import Inspection
    from webhook.cli.verify.assuming import seconds_until_accepted
    from webhook.cli.verify.findings import broken, ok, unknown
    from webhook.model.aws_errors import AwsError
    from webhook.model.errors import ClusterError

    try:
        token = await Inspection(here.connection).token(diagnosis.subject)
        seconds = await seconds_until_accepted(here.calls, role, token, _STS_PATIENCE)
    except ClusterError as error:
        return unknown("STS", f"no token to try with: {error}")
    except AwsError as error:
        if not error.kind.is_refusal:
            return unknown("STS", f"could not be asked: {error}")
        return broken("STS", f"refuses a token of it for {role}: {error}")
    return ok("STS", f"accepted a token of it for {role} after {seconds:.1f} s")


def _show(common: list[Finding], diagnoses: list[Diagnosis], *, whole: bool) -> None:
    """Print findings; of many control planes, only those that are not well."""
    screen = console()
    _show_findings(common)
    for diagnosis in diagnoses:
        shown = [one for one in diagnosis.findings if whole or one.level.rank < _NOTE_RANK]
        if shown:
            screen.print(f"\n{diagnosis.subject.namespace}/{diagnosis.subject.service_account}", style="bold")
            _show_findings(shown)
    bad = sum(diagnosis.worst.rank < _NOTE_RANK for diagnosis in diagnoses)
    screen.print(f"\nServiceAccounts: {len(diagnoses)}, with findings: {bad}", style="bold")


def _show_findings(findings: Iterable[Finding]) -> None:
    from rich.text import Text

    screen = console()
    for finding in findings:
        style = _STYLES[finding.level.value]
        mark = _MARKS[finding.level.value]
        screen.print(Text.assemble((f"  {mark} {finding.check}: ", style), finding.message))
        for command in filter(None, (finding.fix, finding.template)):
            screen.print(Text(f"      {command}"), soft_wrap=True)  # to be copied: never broken


def _document(common: list[Finding], diagnoses: list[Diagnosis]) -> dict[str, Any]:
    return {
        "webhook": [_finding(finding) for finding in common],
        "controlPlanes": [
            {
                "namespace": diagnosis.subject.namespace,
                "serviceAccount": diagnosis.subject.service_account,
                "role": diagnosis.role.value if diagnosis.role else None,
                "worst": diagnosis.worst.value,
                "findings": [_finding(finding) for finding in diagnosis.findings],
            }
            for diagnosis in diagnoses
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "message": finding.message,
        "fix": finding.fix,
        "template": finding.template,
    }
