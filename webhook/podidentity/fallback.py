"""Which replica makes an association: the leader, and another one only what the leader has not made in its time.

Every replica that tries what all see missing costs EKS a call that it refuses, out of a rate that all share.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.model.names import Subject

LEADER_GRACE = 2.0
"""Seconds that the leader has for an association before another replica, which needs it, makes it."""

FIRST_CHECK = 0.5
"""Seconds after which such a replica looks whether the leader has made it: usually it has."""

_LEFT_OUT_AFTER = 300.0
"""Seconds: the 5,000 that a cluster may have are made within 250."""


class Need(IntEnum):
    """How much an association is needed; each comes with what those before it have."""

    SOON = 0
    """Nothing waits for it: one that is listed is not described for it, as after a start there are thousands."""
    ANSWER = 1
    """An answer waits for it: what is there is described. Only the leader makes it."""
    CERTAIN = 2
    """The ServiceAccount is refused without it, or the leader has left it out: any replica makes it."""


class OverdueAssociations:
    """What the leader seems not to make, by the lists of a replica that does not lead."""

    def __init__(self) -> None:
        self._missing: dict[Subject, float] = {}

    def forget(self) -> None:
        """Begin again: this replica leads."""
        self._missing = {}

    def take(self, missing: Collection[Subject], now: float) -> list[Subject]:
        """Take in what is missing by a list; answers what the leader has left out.

        That is what was missing by the list before too, unless that list and this one show the leader at work: it
        makes them one after the other. What is missing for very long counts in any case.
        """
        before, self._missing = self._missing, {one: self._missing.get(one, now) for one in missing}
        none_was_made = before.keys() <= self._missing.keys()
        return [
            one
            for one, since in self._missing.items()
            if one in before and (none_was_made or since <= now - _LEFT_OUT_AFTER)
        ]
