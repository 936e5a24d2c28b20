"""Which replica creates an association: the leader, and another one only what the leader has not created in time.

Each replica that creates what all see missing costs EKS a call that it refuses, out of a rate that all share.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.model.names import Subject

LEADER_GRACE = 2.0
"""Seconds that the leader has for an association before another replica, which needs it, creates it."""

FIRST_CHECK = 0.5
"""Seconds after which such a replica lists it: usually the leader has created it."""

_OVERDUE_AFTER = 300.0
"""Seconds: the 5,000 that a cluster may have are created within 250."""


class Need(IntEnum):
    """How much an association is needed; each comes with what those before it have."""

    SOON = 0
    """Nothing waits for it: one that is listed is not described, as after a start there are thousands."""
    ANSWER = 1
    """A review waits for it: what is there is described. Only the leader creates it."""
    CERTAIN = 2
    """The ServiceAccount is refused without it, or it is overdue: any replica creates it."""


class OverdueAssociations:
    """What the leader seems not to create, by the lists of a replica that does not lead."""

    def __init__(self) -> None:
        self._missing: dict[Subject, float] = {}

    def reset(self) -> None:
        """Begin again: this replica leads."""
        self._missing = {}

    def update(self, missing: Collection[Subject], now: float) -> list[Subject]:
        """Record what a list lacks; answers what is overdue.

        That is what the list before lacked too, unless both lists show the leader at work: it creates them one
        after the other. What is missing for very long is overdue in any case.
        """
        before, self._missing = self._missing, {one: self._missing.get(one, now) for one in missing}
        none_was_created = before.keys() <= self._missing.keys()
        return [
            one
            for one, since in self._missing.items()
            if one in before and (none_was_created or since <= now - _OVERDUE_AFTER)
        ]
