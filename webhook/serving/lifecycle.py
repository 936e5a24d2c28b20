"""Whether the program is ready for reviews, and whether it is on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Lifecycle:
    """Ready means: every condition holds and no SIGTERM has come. AWS is never a condition.

    `conditions` maps what must hold, in words, to whether it does.
    """

    def __init__(self, conditions: Mapping[str, Callable[[], bool]]) -> None:
        self._conditions = conditions
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether connections are to be closed after their next answer."""
        return self._draining

    def drain(self) -> None:
        """Be unready at once; reviews that still come are served."""
        self._draining = True

    def not_ready_because(self) -> str | None:
        """What is missing, in words, or None when ready."""
        if self._draining:
            return "shutting down"
        return next((words for words, holds in self._conditions.items() if not holds()), None)
