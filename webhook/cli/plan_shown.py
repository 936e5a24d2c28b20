"""A plan as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.cli.output import Output, console, write_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from webhook.domain.mapping import Problem
    from webhook.domain.names import Subject
    from webhook.domain.plan import Annotating, Plan, RoleChange

Line = tuple[str, str]
"""Text and style."""


def show_plan(plan: Plan, output: Output) -> None:
    """Print it."""
    if output is not Output.TABLE:
        write_document(plan_document(plan), output)
        return
    from rich.text import Text

    screen = console()
    for text, style in plan_lines(plan):
        screen.print(Text(text, style=style))


def plan_lines(plan: Plan) -> Iterator[Line]:
    """The plan, a line at a time: + comes, - goes, ~ changes, ! needs a person."""
    for change in plan.roles:
        yield from _role(change)
    if plan.annotations:
        yield "annotations", "bold"
        yield from (_annotation(item) for item in plan.annotations)
        yield "", ""
    for title, problems, mark, style in (
        ("problems that only a person can mend", plan.problems, "!", "red"),
        ("to know", plan.notes, "i", "dim"),
    ):
        if problems:
            yield title, "bold"
            yield from ((f"  {mark} {problem_text(problem)}", style) for problem in problems)
            yield "", ""
    yield summary(plan), "bold"


def summary(plan: Plan) -> str:
    """How much there is to do, in one line."""
    if not plan.has_changes:
        return f"nothing to do, problems: {len(plan.problems)}"
    added = sum(len(change.added) for change in plan.roles)
    repaired = sum(change.is_repaired for change in plan.roles)
    return (
        f"to add: {added}, to remove: {plan.removals}, statements to repair: {repaired}, "
        f"annotations to write: {len(plan.annotations)}, problems: {len(plan.problems)}"
    )


def problem_text(problem: Problem) -> str:
    """A problem in one line, with what it is about."""
    about = _short(problem.subject) if problem.subject else str(problem.role or "")
    return f"{problem.kind.value}: {about}: {problem.message}"


def _role(change: RoleChange) -> Iterator[Line]:
    size = f"{change.before.size()} -> {change.after.size()} characters"
    yield f"{change.role}  ({change.own.sid}, {size})", "bold"
    if change.is_repaired:
        yield "  ~ our statement is not as it is written: put right", "yellow"
    for added in change.added:
        yield f"  + {_short(added.subject)}  {added.why}", "green"
    for removed in change.removed:
        yield f"  - {_short(removed.subject)}  {removed.why}", "red"
    yield "", ""


def _annotation(item: Annotating) -> Line:
    now = f"{item.replacing} -> " if item.replacing else ""
    mark, style = ("~", "yellow") if item.replacing else ("+", "green")
    return f"  {mark} {_short(item.subject)}  {now}{item.role}  {item.why}", style


def _short(subject: Subject) -> str:
    return f"{subject.namespace}/{subject.service_account}"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan in plain values; keys and their meaning are in docs/commands.md."""
    return {
        "changes": plan.has_changes,
        "roles": [
            {
                "role": change.role.value,
                "sid": change.own.sid,
                "added": [{**_subject(item.subject), "why": item.why} for item in change.added],
                "removed": [{**_subject(item.subject), "why": item.why} for item in change.removed],
                "repaired": change.is_repaired,
                "characters": {"before": change.before.size(), "after": change.after.size()},
            }
            for change in plan.roles
        ],
        "annotations": [
            {
                **_subject(item.subject),
                "role": item.role.value,
                "replacing": item.replacing,
                "why": item.why,
            }
            for item in plan.annotations
        ],
        "problems": _problems(plan.problems),
        "notes": _problems(plan.notes),
    }


def _subject(subject: Subject) -> dict[str, str]:
    return {"namespace": subject.namespace, "serviceAccount": subject.service_account}


def _problems(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [
        {
            "kind": problem.kind.value,
            **(_subject(problem.subject) if problem.subject else {}),
            "role": problem.role.value if problem.role else None,
            "message": problem.message,
        }
        for problem in problems
    ]
