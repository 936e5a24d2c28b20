"""A withdrawal as people read it, and as programs do."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from webhook.cli.output import console, subject_fields, titled
from webhook.cli.plan.shown import problem_lines, problems_document
from webhook.cli.statement_words import pods_allowed_by
from webhook.cli.suggested_commands import PROGRAM_LABEL, in_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.plan.shown import Line
    from webhook.cli.snapshots.session import Where
    from webhook.cli.withdraw.look import Found
    from webhook.cli.withdraw.plan import RoleRewrite, Withdrawal
    from webhook.cli.withdraw.statements import Replacement
    from webhook.model.control_planes import ControlPlanes

_SAVED = "config.yaml"
_CONTENT = r"jsonpath={.items[*].data.config\.yaml}"


def show(found: Found, *, approved: bool) -> None:
    """Print it."""
    from rich.text import Text

    screen = console()
    for text, style in _lines(found, approved=approved):
        screen.print(Text(text, style=style), soft_wrap=True)


def _lines(found: Found, *, approved: bool) -> Iterator[Line]:
    """A line at a time: - removed, ~ changed, ! for a person, i to know."""
    plan, planes = found.plan, found.planes
    for role in plan.roles:
        yield from _role(role, planes)
    yield from _associations(plan, planes)
    if plan.annotations:
        yield "annotations", "bold"
        yield from ((f"  - {titled(one.subject, planes)}  {one.role}", "red") for one in plan.annotations)
        yield "", ""
    if plan.deployments:
        yield "Deployments, of which the program's notes are removed", "bold"
        yield from ((f"  - {one.namespace}/{one.name}", "red") for one in plan.deployments)
        yield "", ""
    if plan.leases:
        yield "Leases", "bold"
        yield from ((f"  - {found.here.namespace}/{one.name}  {one.role}".rstrip(), "red") for one in plan.leases)
        yield "", ""
    yield from problem_lines(plan.problems, plan.notes, planes)
    if plan.obstacles:
        yield "still in force: nothing is withdrawn before it is gone", "bold"
        yield from ((f"  ! {one.kind}: {one.message}", "red") for one in plan.obstacles)
        yield "next:", "bold"
        yield from ((f"  {command}", "") for command in _next(found))
        yield "", ""
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
    shown = ", ".join(f"{name}: {number}" for name, number in counts.items() if number)
    return f"{shown}, problems: {len(plan.problems)}"


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
    if not plan.associations:
        return
    yield "associations", "bold"
    mark, style = ("~", "yellow") if plan.keeps_access else ("-", "red")
    tags = "  loses the tags of this installation" if plan.keeps_access else ""
    for one in plan.associations:
        yield f"  {mark} {titled(one.subject, planes)}  {one.id} ({one.role}){tags}", style
    yield "", ""


def _next(found: Found) -> list[str]:
    return next_commands(found.plan, found.here.where, found.here.namespace)


def next_commands(plan: Withdrawal, where: Where, namespace: str) -> list[str]:
    """What a person runs next where something is in the way: a release takes its configuration with it."""
    saved = [] if where.file else [_save(namespace, where)]
    obstacles = [one.next for one in plan.obstacles if one.next]
    if where.context:
        obstacles = [in_context(command, where.context) for command in obstacles]
    keep = ["--keep-access"] if plan.keeps_access else []
    again = ["mxp-identity", "withdraw", *_options(where), *keep, "--approve"]
    return list(dict.fromkeys([*saved, *obstacles, shlex.join(again)]))


def _save(namespace: str, where: Where) -> str:
    context = ["--context", where.context] if where.context else []
    get = ["kubectl", *context, "get", "configmap", "-n", namespace, "-l", PROGRAM_LABEL]
    return f"{shlex.join([*get, '-o', _CONTENT])} > {_SAVED}"


def _options(where: Where) -> tuple[str, ...]:
    return where.options if where.file else ("--config", _SAVED, *where.options)


def document(found: Found) -> dict[str, Any]:
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
