"""Removals that the leader's pruner, or a person, has approved: pending until done, judged again at each write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.coordination.lock import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from webhook.model.names import Subject


class PendingRemovals:
    """The subjects that are approved for removal. Times are seconds on one clock.

    An approval is no order. The namespace may be recreated before the write, so `may_remove` is asked of each
    subject at each write. A subject that a grant is pending for at the approval, or that a review asks for later,
    stays for a minute: the review may have seen a namespace that the watch has yet to show.

    An approval holds until the next `approve` leaves it out. So a subject does not come back for good by a stale
    read, or because another replica has written it again.
    """

    def __init__(self, may_remove: Callable[[Subject], bool]) -> None:
        self._may_remove = may_remove
        self._approved: frozenset[Subject] = frozenset()
        self._asked: dict[Subject, float] = {}

    def approve(self, subjects: Iterable[Subject], pending: AbstractSet[Subject], now: float) -> None:
        """Approve these in place of all before. One with a `pending` grant waits, as if a review asked for it."""
        self._approved = frozenset(subjects)
        self._asked = {subject: at for subject, at in self._asked.items() if at > now - REMEMBERED}
        for subject in self._approved & pending:
            self.defer(subject, now)

    @property
    def approved(self) -> AbstractSet[Subject]:
        """What is approved, due or not."""
        return self._approved

    def defer(self, subject: Subject, now: float) -> None:
        """Have an approved removal of `subject` wait for a minute: a review asks for its trust."""
        if subject in self._approved:
            self._asked[subject] = now

    def is_due(self, subject: Subject, pending: AbstractSet[Subject], now: float) -> bool:
        """Whether `subject` is to be removed with the next write, by what is known now."""
        if subject not in self._approved or subject in pending:
            return False
        return self._asked.get(subject, float("-inf")) <= now - REMEMBERED and self._may_remove(subject)

    def due(self, pending: AbstractSet[Subject], now: float) -> frozenset[Subject]:
        """All that are due."""
        return frozenset(one for one in self._approved if self.is_due(one, pending, now))
