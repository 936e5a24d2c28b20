"""A plan as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.cli.output import counted, section, subject_fields, titled
from webhook.cli.trust_statements import pods_allowed_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from webhook.cli.output import Line
    from webhook.iam.trust_policy import Statement
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.removal import Forecast
    from webhook.planning.association_plan import Associating, AssociationPlan
    from webhook.planning.binding_matches import Problem
    from webhook.planning.plan import Annotating, Plan, RoleChange


def plan_lines(plan: Plan, planes: ControlPlanes) -> Iterator[Line]:
    """The plan, a line at a time: + added, - removed, ~ changed, ! for a person."""
    for change in plan.roles:
        yield from _role(change, planes)
    yield from section("associations", _associations(plan.associations, planes))
    yield from section("annotations", (_annotation(item, planes) for item in plan.annotations))
    yield from problem_lines(plan.problems, plan.notes, planes)
    if plan.forecast and plan.forecast.waiting:
        yield _over_limit(plan.forecast), "red"
        yield "", ""
    if plan.is_observed:
        yield "the running program only observes (observe: true): it does none of this", "yellow"
        yield "", ""
    yield summary(plan), "bold"


def problem_lines(problems: Iterable[Problem], notes: Iterable[Problem], planes: ControlPlanes) -> Iterator[Line]:
    """What a person has to correct, and what one should know, each below its title."""
    wrong = ((f"  ! {problem_text(one, planes)}", "red") for one in problems)
    yield from section("problems that only a person can correct", wrong)
    yield from section("to know", ((f"  i {problem_text(one, planes)}", "dim") for one in notes))


def summary(plan: Plan) -> str:
    """How much there is to do, in one line."""
    if not plan.has_changes:
        return f"nothing to do, problems: {len(plan.problems)}"
    added = sum(len(change.added) for change in plan.roles)
    changed = sum(change.is_repaired + len(change.pods_changed) for change in plan.roles)
    new = sum(len(change.pods) - len(change.pods_changed) for change in plan.roles)
    former = sum(len(_former(change)) for change in plan.roles)
    associations = plan.associations
    counts = {
        "to add": added,
        "to remove": plan.removals,
        **({"statements for pods to remove": former} if former else {}),
        "statements to repair": changed,
        **({"statements for pods to write": new} if new else {}),
        **({"associations to create": len(associations.made)} if associations.made else {}),
        **({"associations to repair": len(associations.repaired)} if associations.repaired else {}),
        "annotations to write": len(plan.annotations),
        "problems": len(plan.problems),
    }
    return counted(counts)


def _over_limit(forecast: Forecast) -> str:
    return (
        f"! removals: {forecast.due}, of which the limit of an hour allows {forecast.allowed} now: the running "
        f"program removes the longest unused first, and {forecast.waiting} wait; if they are right, "
        "`mxp-identity apply --approve` removes all"
    )


def problem_text(problem: Problem, planes: ControlPlanes) -> str:
    """A problem in one line, with what it is about."""
    about = titled(problem.subject, planes) if problem.subject else str(problem.role or "")
    return ": ".join(part for part in (problem.kind.value, about, problem.message) if part)


def _former(change: RoleChange) -> list[Statement]:
    """Statements of ours for pods that are removed."""
    return [one for one in change.before.statements if one.get("Sid") in change.own.former]


def _role(change: RoleChange, planes: ControlPlanes) -> Iterator[Line]:
    size = f"{change.before.size()} -> {change.after.size()} characters"
    yield f"{change.role}  ({change.own.sid}, {size})", "bold"
    if change.is_repaired:
        yield "  ~ our statement was changed: to be repaired", "yellow"
    for one in change.pods:
        if one in change.pods_changed:
            yield (
                f"  ~ statement {one.sid} of binding {one.binding}'s pods: changed externally, to be repaired",
                "yellow",
            )
        else:
            yield f"  + statement {one.sid} for the pods of binding {one.binding}: missing", "green"
    for former in _former(change):
        yield f"  - statement {former['Sid']}: {pods_allowed_by(former)}", "red"
    for added in change.added:
        yield f"  + {titled(added.subject, planes)}  {added.why}", "green"
    for removed in change.removed:
        yield f"  - {titled(removed.subject, planes)}  {removed.why}", "red"
    yield "", ""


def _associations(plan: AssociationPlan, planes: ControlPlanes) -> Iterator[Line]:
    for item in plan.made:
        yield f"  + {titled(item.subject, planes)}  {item.role}  {item.why}", "green"
    for item in plan.repaired:
        was = item.found.id if item.found else "none"
        yield f"  ~ {titled(item.subject, planes)}  {was} -> {item.role}  {item.why}", "yellow"
    for gone in plan.removed:
        yield f"  - {titled(gone.found.subject, planes)}  {gone.found.id} ({gone.found.role})  {gone.why}", "red"


def _annotation(item: Annotating, planes: ControlPlanes) -> Line:
    now = f"{item.replacing} -> " if item.replacing else ""
    mark, style = ("~", "yellow") if item.replacing else ("+", "green")
    return f"  {mark} {titled(item.subject, planes)}  {now}{item.role}  {item.why}", style


def plan_document(plan: Plan, planes: ControlPlanes) -> dict[str, Any]:
    """The plan in plain values; keys and their meaning are in docs/use/commands.md."""
    return {
        "changes": plan.has_changes,
        "roles": [
            {
                "role": change.role.value,
                "sid": change.own.sid,
                "added": [{**subject_fields(item.subject, planes), "why": item.why} for item in change.added],
                "removed": [{**subject_fields(item.subject, planes), "why": item.why} for item in change.removed],
                "repaired": change.is_repaired,
                "podStatementsRemoved": [one["Sid"] for one in _former(change)],
                "podStatements": [
                    {"sid": one.sid, "binding": one.binding, "changed": one in change.pods_changed}
                    for one in change.pods
                ],
                "characters": {"before": change.before.size(), "after": change.after.size()},
            }
            for change in plan.roles
        ],
        "associations": _associations_document(plan.associations, planes),
        "annotations": [
            {
                **subject_fields(item.subject, planes),
                "role": item.role.value,
                "replacing": item.replacing,
                "why": item.why,
            }
            for item in plan.annotations
        ],
        "problems": problems_document(plan.problems, planes),
        "notes": problems_document(plan.notes, planes),
        "observing": plan.is_observed,
        "limit": plan.forecast
        and {"due": plan.forecast.due, "allowed": plan.forecast.allowed, "waiting": plan.forecast.waiting},
    }


def _associations_document(plan: AssociationPlan, planes: ControlPlanes) -> dict[str, Any]:
    return {
        "created": [_association(item, planes) for item in plan.made],
        "repaired": [_association(item, planes) for item in plan.repaired],
        "removed": [
            {
                **subject_fields(item.found.subject, planes),
                "role": item.found.role,
                "id": item.found.id,
                "why": item.why,
            }
            for item in plan.removed
        ],
    }


def _association(item: Associating, planes: ControlPlanes) -> dict[str, Any]:
    found = item.found
    return {
        **subject_fields(item.subject, planes),
        "role": item.role.value,
        "id": found.id if found else None,
        "replacing": found.role if found else None,
        "why": item.why,
    }


def problems_document(problems: Iterable[Problem], planes: ControlPlanes) -> list[dict[str, Any]]:
    """Problems or notes in plain values."""
    return [
        {
            "kind": problem.kind.value,
            **(subject_fields(problem.subject, planes) if problem.subject else {}),
            "role": problem.role.value if problem.role else None,
            "message": problem.message,
        }
        for problem in problems
    ]
