"""Whether the program is ready for reviews, and whether it is on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Lifecycle:
    """Ready means: every condition holds and no SIGTERM has come. AWS is never a condition.

    Each of `conditions` answers what is missing, in words, or None where nothing is.
    """

    def __init__(self, *conditions: Callable[[], str | None]) -> None:
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
        return next((missing for condition in self._conditions if (missing := condition())), None)
