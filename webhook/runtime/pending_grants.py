"""The tickets of all who wait for one role, one for each subject however many ask for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Outcome, Untrusted
from webhook.runtime.pending_grant import PendingGrant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from webhook.model.names import RoleArn, Subject


class PendingGrants:
    """Who waits, in the order of asking."""

    def __init__(self, role: RoleArn) -> None:
        self._role = role
        self._waiting: dict[Subject, PendingGrant] = {}
        self._in_flight: frozenset[Subject] = frozenset()
        self.ended = 0
        """How many waits have ended; as long as that stays the same, who waits is only added to, at the end."""

    @property
    def subjects(self) -> AbstractSet[Subject]:
        """Those who wait, as a view of what changes."""
        return self._waiting.keys()

    @property
    def oldest(self) -> float | None:
        """When, on the loop's clock, the first of those who still wait asked; None where nobody waits."""
        return next((ticket.asked for ticket in self._waiting.values()), None)

    def of(self, subject: Subject) -> PendingGrant:
        """The one ticket of all who ask for `subject`."""
        return self._waiting.setdefault(subject, PendingGrant())

    @contextmanager
    def in_flight(self, batch: list[Subject]) -> Iterator[None]:
        """While these are in a write under way nobody can withdraw them."""
        self._in_flight = frozenset(batch)
        try:
            yield
        finally:
            self._in_flight = frozenset()

    def withdraw(self, subject: Subject, reason: str) -> None:
        """Settle a ticket as WITHDRAWN, unless its subject is in a write under way, or does not wait."""
        if subject in self._waiting and subject not in self._in_flight:
            self.settle(subject, Untrusted(self._role, FailureKind.WITHDRAWN, reason))

    def settle(self, subject: Subject, outcome: Outcome) -> None:
        """The end of one who waits; no error where it does not."""
        if ticket := self._waiting.pop(subject, None):
            self.ended += 1
            ticket.settle(outcome)

    def fail_some(self, subjects: Iterable[Subject], failure: Untrusted) -> None:
        """These could not be tried, and follow later."""
        for subject in subjects:
            self._waiting[subject].fail(failure)

    def fail(self, failure: Untrusted) -> None:
        """One try failed for all: bad news, or the end where only a person can help."""
        for subject, ticket in list(self._waiting.items()):
            if failure.kind.is_final:
                self.settle(subject, failure)
            else:
                ticket.fail(failure)
