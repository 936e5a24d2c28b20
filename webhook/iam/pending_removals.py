"""Removals from a role that the reconciler has approved: pending until done, and judged again at each write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.coordination.lock import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from webhook.model.names import Subject


class PendingRemovals:
    """The subjects that the reconciler has approved for removal. Times are seconds on one clock.

    An approval is no order: between it and the write the namespace may have been recreated, so `may_remove` is
    asked of each at each write. A subject that waited for trust at the approval, or is asked for after that, stays
    for a minute: a review may have seen a namespace that the watch has yet to show. An approval holds until the
    reconciler revokes it, so that a stale read, or another replica that has written the subject again, does not
    bring it back for good.
    """

    def __init__(self, may_remove: Callable[[Subject], bool]) -> None:
        self._may_remove = may_remove
        self._approved: frozenset[Subject] = frozenset()
        self._asked: dict[Subject, float] = {}

    def approve(self, subjects: Iterable[Subject], pending: AbstractSet[Subject], now: float) -> None:
        """Have these removed, and no others; for those with a `pending` grant a review has asked."""
        self._approved = frozenset(subjects)
        self._asked = {subject: at for subject, at in self._asked.items() if at > now - REMEMBERED}
        for subject in self._approved & pending:
            self.defer(subject, now)

    @property
    def approved(self) -> AbstractSet[Subject]:
        """What is to be removed, whatever is known of it since."""
        return self._approved

    def defer(self, subject: Subject, now: float) -> None:
        """Have the removal of `subject`, if it is approved, wait for a minute: a review asks for its trust."""
        if subject in self._approved:
            self._asked[subject] = now

    def is_due(self, subject: Subject, pending: AbstractSet[Subject], now: float) -> bool:
        """Whether `subject` is to be removed, by what is known now."""
        if subject not in self._approved or subject in pending:
            return False
        return self._asked.get(subject, float("-inf")) <= now - REMEMBERED and self._may_remove(subject)

    def due(self, pending: AbstractSet[Subject], now: float) -> frozenset[Subject]:
        """What is to be removed with the next write, by what is known now."""
        return frozenset(one for one in self._approved if self.is_due(one, pending, now))
