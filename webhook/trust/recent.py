"""Who was written to a role in the last minute: by this replica, and by others as far as they are believed."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.domain.names import Subject

REMEMBERED = 60.0
"""Seconds for which a subject written by any replica is kept whatever a read says: IAM's reads can be that old."""

MOST_HEARD = 2000
"""Subjects that are taken from one Lease, and that wait to be believed: the newest."""

_MOMENT = 1e-3
"""Seconds; no two writes of a role are as close."""


class RecentWrites:
    """The subjects that stay in our statement whatever a read says. Times are seconds on one clock.

    What this replica wrote counts at once. A Lease that says what another replica wrote is a hint, which whoever
    may update Leases can forge: a subject heard of counts only once `may_want` holds of it, and is forgotten
    where that does not come true within the minute. It does not hold while the watch has not shown the namespace
    yet, as before the first lists. Trusting nobody on a Lease's word alone costs that until then a stale read can
    take such a subject out again; the look at its namespace, which the watch brings along, puts it back. Nor does
    it hold once the namespace is gone: then a read that shows the subject still keeps it, and nobody needs more.
    """

    def __init__(self, may_want: Callable[[Subject], bool]) -> None:
        self._may_want = may_want
        self._written: dict[Subject, float] = {}
        self._heard: dict[Subject, float] = {}
        self._counted: frozenset[Subject] | None = None
        self._counted_until = float("-inf")
        self.latest = float("-inf")
        """When anybody was written last, as far as was heard."""

    def wrote(self, subjects: Iterable[Subject], now: float) -> None:
        """Remember what this replica wrote just now."""
        self._written.update(dict.fromkeys(subjects, now))
        self._counted = None
        self.latest = now

    @property
    def last_count(self) -> int:
        """How many were written last, as far as was heard: those of one write are equally old."""
        return sum(at >= self.latest - _MOMENT for times in (self._written, self._heard) for at in times.values())

    def forget(self, subjects: Iterable[Subject]) -> None:
        """Count these no longer: they have left, or others have their names."""
        for subject in subjects:
            self._written.pop(subject, None)
            self._heard.pop(subject, None)
        self._counted = None

    def hear(self, written: Mapping[Subject, float], now: float) -> None:
        """Take in what another replica is said to have written, and how many seconds ago."""
        self._written = _not_older(
            self._written, now
        )  # what counts no longer must not hide that it was written anew
        for subject, ago in written.items():
            self.latest = max(self.latest, now - ago)
            if ago < REMEMBERED and subject not in self._written:
                self._heard.setdefault(subject, now - ago)
        if len(self._heard) > MOST_HEARD:
            self._heard = dict(heapq.nlargest(MOST_HEARD, self._heard.items(), key=lambda item: item[1]))

    def believe(self, now: float) -> list[Subject]:
        """Count those heard of whom the cluster may want by what is known now; answers who they are."""
        self._heard = _not_older(self._heard, now)
        believed = [subject for subject in self._heard if self._may_want(subject)]
        for subject in believed:
            self._written.setdefault(subject, self._heard.pop(subject))
            self._counted = None
        return believed

    def subjects(self, now: float) -> frozenset[Subject]:
        """Who counts: the same set until that changes, as each review asks."""
        if self._counted is None or now >= self._counted_until:
            self._written = _not_older(self._written, now)
            self._counted = frozenset(self._written)
            self._counted_until = min(self._written.values(), default=float("inf")) + REMEMBERED
        return self._counted

    def ages(self, now: float) -> dict[Subject, float]:
        """Who counts, and how many seconds ago each was written. What is not believed is not passed on."""
        return {subject: now - at for subject, at in self._written.items()}


def _not_older(times: dict[Subject, float], now: float) -> dict[Subject, float]:
    return {subject: at for subject, at in times.items() if at > now - REMEMBERED}
