"""What is asked for and not done yet: grants, one for each key however many ask, and approved removals."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from webhook.model.names import Subject
    from webhook.model.outcomes import Outcome, Untrusted
    from webhook.runtime.clock import Clock

K = TypeVar("K")

_DEFERRED = 60.0
"""Seconds that an approved removal waits after a review asked: by then the watch shows the namespace it saw."""


def _now() -> float:
    return loop_clock()()


def _future() -> asyncio.Future[Outcome]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class PendingGrant:
    """A grant that is pending. It settles once; bad news may come before, and the work goes on."""

    asked: float = field(default_factory=_now)
    """When it was first asked for, on the event loop's clock."""
    settled: asyncio.Future[Outcome] = field(default_factory=_future)
    bad_news: asyncio.Future[Outcome] = field(default_factory=_future)
    last_failure: Untrusted | None = None

    def settle(self, outcome: Outcome) -> None:
        """Trusted, or refused until a person does something."""
        if not self.settled.done():
            self.settled.set_result(outcome)

    def fail(self, failure: Untrusted) -> None:
        """One try failed, and another follows. It is bad news unless it may pass soon."""
        self.last_failure = failure
        if not failure.kind.passes_soon and not self.bad_news.done():
            self.bad_news.set_result(failure)


class PendingGrants(Generic[K]):
    """Pending grants by key, in the order of asking."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[K, PendingGrant] = {}
        self._in_flight: frozenset[K] = frozenset()
        self.keys = self._pending.keys()
        """What is pending, as a view of what changes."""
        self.ended = 0
        """How many have ended; as long as that stays the same, keys are only added, at the end."""

    @property
    def oldest(self) -> float | None:
        """When the first of those still pending was asked for; None where none is."""
        return next((grant.asked for grant in self._pending.values()), None)

    def of(self, key: K, trouble: Untrusted | None) -> PendingGrant:
        """The one pending grant of all that ask for `key`. While there is trouble it has failed from the start."""
        if (grant := self._pending.get(key)) is None:
            grant = self._pending[key] = PendingGrant(self._clock())
        if trouble:
            grant.fail(trouble)
        return grant

    @contextmanager
    def in_flight(self, keys: Collection[K]) -> Iterator[None]:
        """While these are in a write under way they cannot be withdrawn."""
        self._in_flight = frozenset(keys)
        try:
            yield
        finally:
            self._in_flight = frozenset()

    def withdraw(self, key: K, outcome: Untrusted) -> None:
        """Settle it, unless it is in a write under way."""
        if key not in self._in_flight:
            self.settle(key, outcome)

    def settle(self, key: K, outcome: Outcome) -> None:
        """End it; no error where it is not pending."""
        if grant := self._pending.pop(key, None):
            self.ended += 1
            grant.settle(outcome)

    def fail(self, failure: Untrusted, keys: Collection[K] | None = None) -> None:
        """One try failed for `keys`, or for all: bad news, or the end where the failure is final."""
        for key in list(self.keys if keys is None else keys):
            if failure.kind.is_final:
                self.settle(key, failure)
            else:
                self._pending[key].fail(failure)


class PendingRemovals:
    """The subjects that the leader's pruner, or a person, has approved for removal.

    Times are seconds on one clock.

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
        self._asked = {subject: at for subject, at in self._asked.items() if at > now - _DEFERRED}
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
        return self._asked.get(subject, float("-inf")) <= now - _DEFERRED and self._may_remove(subject)

    def due(self, pending: AbstractSet[Subject], now: float) -> frozenset[Subject]:
        """All that are due."""
        return frozenset(one for one in self._approved if self.is_due(one, pending, now))
