"""An adoption as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.cli.output import console, subject_fields, titled
from webhook.cli.plan.shown import problem_lines, problems_document
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.adopt.planning import Adoption
    from webhook.cli.adopt.rules import RoleAdoption, Taken
    from webhook.cli.plan.shown import Line
    from webhook.iam.trust_policy import Place
    from webhook.model.control_planes import ControlPlanes

_MOST_SHOWN = 20
"""ServiceAccounts that lose access without using it; the document has all of them."""


def show_adoption(plan: Adoption) -> None:
    """Print it."""
    from rich.text import Text

    screen = console()
    for text, style in adoption_lines(plan):
        screen.print(Text(text, style=style))


def adoption_lines(plan: Adoption) -> Iterator[Line]:
    """The plan, a line at a time: ~ changed, - loses access, i stays, ! for a person."""
    for role in plan.roles:
        yield from _role(role, plan.planes)
    if plan.tagged or plan.untagged:
        yield "associations", "bold"
        for one in plan.tagged:
            yield f"  ~ {titled(one.subject, plan.planes)}  {one.id} becomes managed", "yellow"
        for left in plan.untagged:
            yield f"  i {titled(left.found.subject, plan.planes)}  {left.found.id} stays: {left.why}", "dim"
        yield "", ""
    yield from problem_lines(plan.problems, (), plan.planes)
    yield summary(plan), "bold"


def summary(plan: Adoption) -> str:
    """How much there is to do, in one line."""
    taken = [one for role in plan.roles for one in role.taken]
    losing = sum(len(role.losing) for role in plan.roles)
    counts = {
        "statements to move": sum(not one.patterns for one in taken),
        "wildcards to replace": sum(bool(one.patterns) for one in taken),
        "associations to tag": len(plan.tagged),
        **({"ServiceAccounts that lose access": losing} if losing else {}),
        "left as they are": sum(len(role.left) for role in plan.roles) + len(plan.untagged),
        "problems": len(plan.problems),
    }
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _role(role: RoleAdoption, planes: ControlPlanes) -> Iterator[Line]:
    yield str(role.role), "bold"
    for one in role.taken:
        yield _taken(one, planes)
    unused = [one for one in role.losing if not one.is_annotated]
    for losing in [*(one for one in role.losing if one.is_annotated), *unused[:_MOST_SHOWN]]:
        why = "its annotation names the role" if losing.is_annotated else "its annotation does not name the role"
        style = "red" if losing.is_annotated else "yellow"
        yield f"  - {titled(losing.subject, planes)}  loses access; {why}", style
    if len(unused) > _MOST_SHOWN:
        yield f"  - and {len(unused) - _MOST_SHOWN} more, whose annotations do not name the role", "yellow"
    if role.replaces:
        yield "  - and every ServiceAccount that is created later and that no binding selects", "yellow"
    for left in role.left:
        yield f"  i {left.place} stays: {left.why}", "dim"
    if role.has_changes:
        size = f"{role.before.size()} -> {role.after.size()} characters"
        fit = f"room for {role.room_before} -> {role.room_after} more"
        yield f"  {role.own.sid}: {size}, {fit}", ""
    yield "", ""


def _taken(one: Taken, planes: ControlPlanes) -> Line:
    subjects = ", ".join(titled(subject, planes) for subject in sorted(one.subjects))
    if not one.patterns:
        return f"  ~ {one.place} moves: {subjects}", "yellow"
    patterns = legible(", ".join(one.patterns))
    return f"  ~ {one.place} is replaced: {patterns} by {subjects or 'no ServiceAccount'}", "yellow"


def adoption_document(plan: Adoption) -> dict[str, Any]:
    """The plan in plain values; keys and their meaning are in docs/use/adopt.md."""
    planes = plan.planes
    return {
        "changes": plan.has_changes,
        "roles": [
            {
                "role": role.role.value,
                "sid": role.own.sid,
                "taken": [
                    {
                        **_place(one.place),
                        "wildcards": list(one.patterns),
                        "serviceAccounts": [subject_fields(subject, planes) for subject in sorted(one.subjects)],
                    }
                    for one in role.taken
                ],
                "losing": [
                    {**subject_fields(one.subject, planes), "annotated": one.is_annotated} for one in role.losing
                ],
                "left": [{**_place(one.place), "why": one.why} for one in role.left],
                "characters": {"before": role.before.size(), "after": role.after.size()},
                "room": {"before": role.room_before, "after": role.room_after},
            }
            for role in plan.roles
        ],
        "associations": {
            "tagged": [
                {**subject_fields(one.subject, planes), "id": one.id, "role": one.role} for one in plan.tagged
            ],
            "left": [
                {
                    **subject_fields(one.found.subject, planes),
                    "id": one.found.id,
                    "role": one.found.role,
                    "why": one.why,
                }
                for one in plan.untagged
            ],
        },
        "problems": problems_document(plan.problems, planes),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"statement": place.index + 1, "sid": place.sid}
