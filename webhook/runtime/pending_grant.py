"""Grants that are pending: one for each key, however many ask for it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.model.outcomes import Outcome, Untrusted
    from webhook.runtime.clock import Clock

K = TypeVar("K")


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

    def of(self, key: K) -> PendingGrant:
        """The one pending grant of all that ask for `key`."""
        if (grant := self._pending.get(key)) is None:
            grant = self._pending[key] = PendingGrant(self._clock())
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
        """One try failed for `keys`, or for all: bad news, or the end where only a person can help."""
        for key in list(self.keys if keys is None else keys):
            if failure.kind.is_final:
                self.settle(key, failure)
            else:
                self._pending[key].fail(failure)
