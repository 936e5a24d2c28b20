"""Who is to leave a role: approved by the reconciler, judged again at each write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.coordination.recent_writes import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from webhook.model.names import Subject


class PendingRemovals:
    """The subjects that the reconciler has approved for removal. Times are seconds on one clock.

    An approval is no order: between it and the write somebody may have made the namespace anew, so `may_leave` is
    asked of each at each write. Who waited for trust at the approval, or asks for it after that, stays for a
    minute: a review may have seen a namespace that the watch has yet to show. An approval holds until the
    reconciler takes it back, so that a stale read, or another replica that has written the subject again, does
    not bring it back for good.
    """

    def __init__(self, may_leave: Callable[[Subject], bool]) -> None:
        self._may_leave = may_leave
        self._approved: frozenset[Subject] = frozenset()
        self._asked: dict[Subject, float] = {}

    def approve(self, subjects: Iterable[Subject], waiting: AbstractSet[Subject], now: float) -> None:
        """These and no others are to leave; those `waiting` for trust have asked for it."""
        self._approved = frozenset(subjects)
        self._asked = {subject: at for subject, at in self._asked.items() if at > now - REMEMBERED}
        for subject in self._approved & waiting:
            self.asks(subject, now)

    @property
    def approved(self) -> AbstractSet[Subject]:
        """What is to be removed, whatever is known of it since."""
        return self._approved

    def asks(self, subject: Subject, now: float) -> None:
        """A review asks for trust, approved or not."""
        if subject in self._approved:
            self._asked[subject] = now

    def leaves(self, subject: Subject, waiting: AbstractSet[Subject], now: float) -> bool:
        """Whether `subject` is to leave, by what is known now."""
        if subject not in self._approved or subject in waiting:
            return False
        return self._asked.get(subject, float("-inf")) <= now - REMEMBERED and self._may_leave(subject)

    def leaving(self, waiting: AbstractSet[Subject], now: float) -> frozenset[Subject]:
        """Who leaves with the next write, by what is known now."""
        return frozenset(one for one in self._approved if self.leaves(one, waiting, now))
