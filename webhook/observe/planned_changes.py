"""A plan as single changes, each with the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.model.names import Subject
    from webhook.planning.plan import Plan, RoleChange

CHANGES = ("annotate", "trust", "associate", "statement", "remove")
"""The kinds of change: a ServiceAccount annotated, trusted by a role's policy, or associated; our statement in a
role written or corrected, whatever it names; trust or an association removed."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One thing that the program would do. `subject` is None for what is about a role alone."""

    change: str
    role: str
    subject: Subject | None
    why: str

    @property
    def event(self) -> str:
        """The event by which the log has it."""
        return f"would_{self.change}"

    @property
    def key(self) -> tuple[str, str, Subject | None]:
        """The same for as long as it would be done."""
        return self.change, self.role, self.subject


def planned_changes(plan: Plan) -> Iterator[PlannedChange]:
    """All that a plan would do."""
    for change in plan.roles:
        yield from _about_role(change)
    for one in plan.annotations:
        yield PlannedChange("annotate", one.role.value, one.subject, one.why)
    for each in (*plan.associations.made, *plan.associations.repaired):
        yield PlannedChange("associate", each.role.value, each.subject, each.why)
    for gone in plan.associations.removed:
        yield PlannedChange("remove", gone.found.role, gone.found.subject, gone.why)


def _about_role(change: RoleChange) -> Iterator[PlannedChange]:
    role = change.role.value
    if change.is_repaired:
        yield PlannedChange("statement", role, None, "our statement is not as it is written")
    for one in change.pods:
        yield PlannedChange("statement", role, None, f"the pods of binding {one.binding} need statement {one.sid}")
    for added in change.added:
        yield PlannedChange("trust", role, added.subject, added.why)
    for removed in change.removed:
        yield PlannedChange("remove", role, removed.subject, removed.why)
