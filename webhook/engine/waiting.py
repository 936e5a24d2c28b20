"""Who waits for trust, and since when: also those whom every role refused, until somebody makes room."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.model.names import Subject


class Waiting:
    """The subjects that no role trusts yet though one should. Times are seconds on one clock that never jumps."""

    def __init__(self) -> None:
        self._since: dict[Subject, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, subject: Subject, now: float) -> None:
        """The subject is wanted trusted; who waits already goes on waiting since then."""
        self._since.setdefault(subject, now)

    def end(self, subject: Subject) -> None:
        """The subject is trusted."""
        self._since.pop(subject, None)

    def end_all_but(self, subjects: Collection[Subject]) -> None:
        """Nobody wants the others any more."""
        self._since = {subject: at for subject, at in self._since.items() if subject in subjects}

    def longest(self, now: float) -> float:
        """Seconds that the one who waits longest has waited; 0 where nobody waits."""
        return now - min(self._since.values(), default=now)
