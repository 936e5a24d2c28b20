"""How many subjects may be removed within an hour: a wrong selector must not remove all trust."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600.0
"""Seconds over which removals are counted."""

_ALWAYS_ALLOWED = 3
"""Removals an hour that are always allowed, however few subjects there are."""


@dataclass(frozen=True, slots=True)
class PruneRules:
    """When an unwanted subject is removed, and how many are at most."""

    grace: float
    """Seconds for which a subject must have been seen unwanted."""
    fraction: float
    """The part of all subjects that may be removed within an hour."""

    def limit(self, subjects: int, removed: int) -> int:
        """How many may be removed within an hour, of `subjects` that are there and `removed` that were."""
        return max(_ALWAYS_ALLOWED, int(self.fraction * (subjects + removed)))

    def left(self, subjects: int, removed: int) -> int:
        """How many more may be removed now."""
        return max(self.limit(subjects, removed) - removed, 0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the running program makes of removals once their grace is over."""

    due: int
    """Those that count against the limit and are not being removed already."""
    allowed: int
    """How many more may be removed now."""

    @property
    def waiting(self) -> int:
        """How many wait for an hour's limit, or for a person."""
        return max(self.due - self.allowed, 0)
