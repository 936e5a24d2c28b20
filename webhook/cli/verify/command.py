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
    from webhook.cli.verify.verdict import Verdict
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
    common, verdicts = run(lambda progress: _verify(where, plane, assume, progress))
    if output is Output.TABLE:
        _show(common, verdicts, whole=plane is not None)
    else:
        write_document(_document(common, verdicts), output)
    levels = [finding.level for finding in [*common, *(one for verdict in verdicts for one in verdict.findings)]]
    sys.exit(Exit.PROBLEMS if any(level.rank < _NOTE_RANK for level in levels) else Exit.DONE)


_NOTE_RANK = 2


async def _verify(
    where: Where,
    plane: str | None,
    assume: bool,  # noqa: FBT001  an option
    progress: Progress,
) -> tuple[list[Finding], list[Verdict]]:
    from dataclasses import replace

    from webhook.cli.snapshots.session import session
    from webhook.cli.verify.control_planes import look_at_planes, look_at_shared
    from webhook.cli.verify.findings import in_context
    from webhook.cli.verify.verdict import diagnose

    async with session(where) as here:
        progress.step("listing namespaces, ServiceAccounts and pods")
        cluster = await here.look_at_cluster()
        planes = await look_at_planes(here, cluster, plane)
        progress.step("reading trust policies and associations")
        shared = await look_at_shared(here, cluster, planes, progress.count)
        verdicts = [diagnose(one, shared) for one in planes]
        progress.step("sending a ServiceAccount through admission")
        common = await _common(here, shared, verdicts)
        if assume:
            progress.step("asking STS")
            verdicts = await _with_sts(here, verdicts, progress)
    common = list(in_context(common, where.context))
    verdicts = [replace(one, findings=in_context(one.findings, where.context)) for one in verdicts]
    return common, sorted(verdicts, key=lambda verdict: (verdict.worst.rank, verdict.subject))


async def _common(here: Session, shared: Shared, verdicts: list[Verdict]) -> list[Finding]:
    """What is found of the webhook itself, tried with the first control plane that a binding selects.

    One that is to be annotated comes first: only there an answer shows. A program that only observes is not tried.
    """
    from webhook.cli.verify.control_planes import try_admission
    from webhook.cli.verify.findings import note
    from webhook.cli.verify.own_identity import look_at_own_pods
    from webhook.cli.verify.registration import look_at_webhook

    if here.configuration.observe:
        observing = note("webhook", "only observes (observe: true), so that nothing gets an identity from it")
        return [observing, *look_at_own_pods(shared)]
    selected = [verdict for verdict in verdicts if verdict.role is not None]
    tried = min(selected, key=lambda verdict: verdict.associates, default=None)
    trial = await try_admission(here, tried.subject, shows=not tried.associates) if tried else None
    self_managed = here.configuration.certificates.source == "self-managed"
    found = look_at_webhook(shared, trial, here.namespace, self_managed=self_managed)
    return [*found, *look_at_own_pods(shared)]


async def _with_sts(here: Session, verdicts: list[Verdict], progress: Progress) -> list[Verdict]:
    """The verdicts with what STS says, asked for a few at a time: who is refused takes long."""
    from dataclasses import replace

    slots, asked = asyncio.Semaphore(_STS_AT_A_TIME), 0

    async def ask(verdict: Verdict) -> Verdict:
        nonlocal asked
        if verdict.role is None:
            return verdict
        if verdict.associates:
            finding = _not_asked()
        else:
            async with slots:
                finding = await _ask_sts(here, verdict, verdict.role)
            asked += 1
            progress.count(f"STS has answered for {asked} of {total}", asked, total)
        return replace(verdict, findings=(*verdict.findings, finding))

    total = sum(verdict.role is not None and not verdict.associates for verdict in verdicts)
    return await asyncio.gather(*(ask(verdict) for verdict in verdicts))


def _not_asked() -> Finding:
    from webhook.cli.verify.findings import note

    return note("STS", "not asked: in mode pod-identity EKS assumes the role, and only for a pod's own token")


async def _ask_sts(here: Session, verdict: Verdict, role: RoleArn) -> Finding:
    from webhook.cli.snapshots.inspection import Inspection
    from webhook.cli.verify.assuming import seconds_until_accepted
    from webhook.cli.verify.findings import broken, ok, unknown
    from webhook.model.aws_errors import AwsError
    from webhook.model.errors import ClusterError

    try:
        token = await Inspection(here.connection).token(verdict.subject)
        seconds = await seconds_until_accepted(here.calls, role, token, _STS_PATIENCE)
    except ClusterError as error:
        return unknown("STS", f"no token to try with: {error}")
    except AwsError as error:
        if not error.kind.is_refusal:
            return unknown("STS", f"could not be asked: {error}")
        return broken("STS", f"refuses a token of it for {role}: {error}")
    return ok("STS", f"accepted a token of it for {role} after {seconds:.1f} s")


def _show(common: list[Finding], verdicts: list[Verdict], *, whole: bool) -> None:
    """Print findings; of many control planes, only those that are not well."""
    screen = console()
    _show_findings(common)
    for verdict in verdicts:
        shown = [one for one in verdict.findings if whole or one.level.rank < _NOTE_RANK]
        if shown:
            screen.print(f"\n{verdict.subject.namespace}/{verdict.subject.service_account}", style="bold")
            _show_findings(shown)
    bad = sum(verdict.worst.rank < _NOTE_RANK for verdict in verdicts)
    screen.print(f"\nServiceAccounts: {len(verdicts)}, with findings: {bad}", style="bold")


def _show_findings(findings: Iterable[Finding]) -> None:
    from rich.text import Text

    screen = console()
    for finding in findings:
        style = _STYLES[finding.level.value]
        mark = _MARKS[finding.level.value]
        screen.print(Text.assemble((f"  {mark} {finding.check}: ", style), finding.message))
        for command in filter(None, (finding.fix, finding.template)):
            screen.print(Text(f"      {command}"), soft_wrap=True)  # to be copied: never broken


def _document(common: list[Finding], verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "webhook": [_finding(finding) for finding in common],
        "controlPlanes": [
            {
                "namespace": verdict.subject.namespace,
                "serviceAccount": verdict.subject.service_account,
                "role": verdict.role.value if verdict.role else None,
                "worst": verdict.worst.value,
                "findings": [_finding(finding) for finding in verdict.findings],
            }
            for verdict in verdicts
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
