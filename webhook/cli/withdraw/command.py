"""`withdraw`: leave nothing behind, or nothing but plain access."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace, flag
from webhook.cli.output import Done, Output, counted, plan_then_done, section, subject_fields, titled
from webhook.cli.plan.shown import problem_lines, problems_document
from webhook.cli.suggested_commands import PROGRAM_LABEL, in_context
from webhook.cli.trust_statements import pods_allowed_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.output import Line
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session, Where
    from webhook.cli.withdraw.look import Found
    from webhook.cli.withdraw.plan import RoleRewrite, Withdrawal
    from webhook.cli.withdraw.statements import Replacement
    from webhook.model.control_planes import ControlPlanes

_KEEP = "Leave access: statements become plain ones, associations lose the program's tags, annotations stay."

_SAVED = "config.yaml"
_CONTENT = r"jsonpath={.items[*].data.config\.yaml}"


def withdraw(  # noqa: PLR0913  options
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    keep_access: Annotated[bool, flag("--keep-access", _KEEP)] = False,
    approve: Annotated[bool, flag("--approve", "Do it.")] = False,
) -> None:
    """Remove all that this installation has written to AWS and to the cluster. First: the plan.

    That is statements, associations, annotations and Leases. Run it once the release is uninstalled, with its
    configuration in `--config`. As long as the webhook is registered or a replica runs, it does nothing and prints
    what to do next. The next run continues one that was cut off.

    Exit code 0: nothing is left. 1: not all could be done. 3: there is something to do. 4: the release is still in
    force, or what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where, run_in_session

    work = partial(_withdraw, keeps_access=keep_access, approved=approve, output=output)
    sys.exit(run_in_session(Where(config, release_namespace, context), work))


async def _withdraw(
    here: Session, progress: Progress, *, keeps_access: bool, approved: bool, output: Output
) -> Exit:
    from webhook.cli.withdraw.carrying_out import carry_out
    from webhook.cli.withdraw.look import look

    found, done = await look(here, progress, keeps_access=keeps_access), Done()
    plan, lines = found.plan, _lines(found, approved=approved)
    with plan_then_done(progress.hide, output, lines, _document(found), done, soft_wrap=True):
        if approved and plan.has_changes and not plan.obstacles:
            await carry_out(found, progress, done)
    if plan.obstacles or plan.problems:
        return Exit.of(failed=bool(done.failed), problems=True)
    return Exit.of(failed=bool(done.failed), changes=plan.has_changes and not approved)


def _lines(found: Found, *, approved: bool) -> Iterator[Line]:
    """A line at a time: - removed, ~ changed, ! for a person, i to know."""
    plan, planes = found.plan, found.planes
    for role in plan.roles:
        yield from _role(role, planes)
    yield from section("associations", _associations(plan, planes))
    for title, what in {
        "annotations": [f"{titled(one.subject, planes)}  {one.role}" for one in plan.annotations],
        "Deployments, of which the program's notes are removed": [
            f"{one.namespace}/{one.name}" for one in plan.deployments
        ],
        "Leases": [f"{found.here.namespace}/{one.name}  {one.role}".rstrip() for one in plan.leases],
    }.items():
        yield from section(title, ((f"  - {text}", "red") for text in what))
    yield from problem_lines(plan.problems, plan.notes, planes)
    if plan.obstacles:
        yield "still in force: nothing is withdrawn before it is gone", "bold"
        yield from ((f"  ! {one.kind}: {one.message}", "red") for one in plan.obstacles)
        yield from section("next:", ((f"  {command}", "") for command in _next(found)))
    yield _summary(plan), "bold"
    if plan.has_changes and not approved and not plan.obstacles:
        yield "nothing is changed without --approve", ""


def _summary(plan: Withdrawal) -> str:
    """How much there is to do, in one line."""
    if not plan.has_changes:
        return f"nothing is left, problems: {len(plan.problems)}"
    statements = [one for role in plan.roles for one in role.replaced]
    counts = {
        "statements to replace by plain ones": sum(one.plain is not None for one in statements),
        "statements to remove": sum(one.plain is None for one in statements),
        f"associations to {'release' if plan.keeps_access else 'delete'}": len(plan.associations),
        "annotations to remove": len(plan.annotations),
        "Deployments with notes": len(plan.deployments),
        "Leases to delete": len(plan.leases),
    }
    return counted({**{name: count for name, count in counts.items() if count}, "problems": len(plan.problems)})


def _role(role: RoleRewrite, planes: ControlPlanes) -> Iterator[Line]:
    yield f"{role.role}  ({role.before.size()} -> {role.after.size()} characters)", "bold"
    for one in role.replaced:
        sid = one.managed["Sid"]
        if one.plain is None:
            yield f"  - statement {sid}{_about(one, role)}", "red"
        else:
            yield f"  ~ statement {sid} becomes {one.plain['Sid']}{_about(one, role)}", "yellow"
        for subject in sorted(role.own.subjects_in(one.managed)):
            yield f"      {titled(subject, planes)}", ""
    yield "", ""


def _about(one: Replacement, role: RoleRewrite) -> str:
    if one.managed["Sid"] != role.own.sid:
        return f": {pods_allowed_by(one.managed)}"
    return "" if role.own.subjects_in(one.managed) else ": it allows no ServiceAccount"


def _associations(plan: Withdrawal, planes: ControlPlanes) -> Iterator[Line]:
    mark, style = ("~", "yellow") if plan.keeps_access else ("-", "red")
    tags = "  loses the tags of this installation" if plan.keeps_access else ""
    for one in plan.associations:
        yield f"  {mark} {titled(one.subject, planes)}  {one.id} ({one.role}){tags}", style


def _next(found: Found) -> list[str]:
    return next_commands(found.plan, found.here.where, found.here.namespace)


def next_commands(plan: Withdrawal, where: Where, namespace: str) -> list[str]:
    """What a person runs next where something is in the way: a release takes its configuration with it."""
    obstacles = [one.next for one in plan.obstacles if one.next]
    save, config = [], []
    if where.context:
        obstacles = [in_context(command, where.context) for command in obstacles]
    if where.file is None:
        context = ["--context", where.context] if where.context else []
        get = ["kubectl", *context, "get", "configmap", "-n", namespace, "-l", PROGRAM_LABEL, "-o", _CONTENT]
        save, config = [f"{shlex.join(get)} > {_SAVED}"], ["--config", _SAVED]
    keep = ["--keep-access"] if plan.keeps_access else []
    again = ["mxp-identity", "withdraw", *config, *where.options, *keep, "--approve"]
    return list(dict.fromkeys([*save, *obstacles, shlex.join(again)]))


def _document(found: Found) -> dict[str, Any]:
    """The plan in plain values; keys and their meaning are in docs/use/commands.md."""
    plan, planes = found.plan, found.planes
    return {
        "keepsAccess": plan.keeps_access,
        "roles": [
            {
                "role": role.role.value,
                "statements": [
                    {
                        "sid": one.managed["Sid"],
                        "becomes": one.plain["Sid"] if one.plain else None,
                        "serviceAccounts": [
                            subject_fields(subject, planes)
                            for subject in sorted(role.own.subjects_in(one.managed))
                        ],
                    }
                    for one in role.replaced
                ],
                "characters": {"before": role.before.size(), "after": role.after.size()},
            }
            for role in plan.roles
        ],
        "associations": [
            {**subject_fields(one.subject, planes), "role": one.role, "id": one.id} for one in plan.associations
        ],
        "annotations": [
            {**subject_fields(one.subject, planes), "role": one.role.value} for one in plan.annotations
        ],
        "deployments": [{"namespace": one.namespace, "deployment": one.name} for one in plan.deployments],
        "leases": [one.name for one in plan.leases],
        "inForce": [{"obstacle": one.kind.value, "message": one.message} for one in plan.obstacles],
        "next": _next(found) if plan.obstacles else [],
        "problems": problems_document(plan.problems, planes),
        "notes": problems_document(plan.notes, planes),
    }
