"""Which subjects were added to a role or removed from it in the last minute, by any replica."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from webhook.model.names import Subject

REMEMBERED = 60.0
"""Seconds for which a write by any replica counts more than what a read says: IAM's reads can be that old."""

MOST_HEARD = 2000
"""Subjects written, and as many removed, that are taken from one Lease or wait to be believed: the newest."""

_MOMENT = 1e-3
"""Seconds; no two writes of a role are as close."""


class RecentWrites:
    """What the writes of the last minute added and removed, whatever a read says. Times are seconds on one clock.

    What this replica added counts at once. A Lease that says what another replica wrote is a hint, which whoever
    may update Leases can forge: a subject heard of counts only once `may_want` holds of it, and is forgotten
    where that does not come true within the minute. It does not hold while the watch has not shown the namespace
    yet, as before the first lists. Trusting nobody on a Lease's word alone costs that until then a stale read can
    take such a subject out again; the look at its namespace, which the watch brings along, puts it back. Nor does
    it hold once the namespace is gone: then a read that shows the subject still keeps it, and nobody needs more.

    A removal that a Lease names is such a hint too. It counts for a subject only while `seems_unused` holds of it,
    so it takes nothing from a subject that the cluster, as last shown, wants. A later write of the subject ends
    it. All removals are passed on, whether they count here or not. So each Lease names those of the one before,
    and the last Lease read is all that is known of other replicas' removals.
    """

    def __init__(self, may_want: Callable[[Subject], bool], seems_unused: Callable[[Subject], bool]) -> None:
        self._may_want = may_want
        self._seems_unused = seems_unused
        self._written: dict[Subject, float] = {}
        self._heard: dict[Subject, float] = {}
        self._removed: dict[Subject, float] = {}
        self._unanswered: dict[Subject, float] = {}
        self._counted: frozenset[Subject] | None = None
        self._counted_until = float("-inf")
        self.latest = float("-inf")
        """When anybody was written last, as far as was heard."""

    def wrote(self, subjects: AbstractSet[Subject], before: AbstractSet[Subject], now: float) -> None:
        """Remember that this replica wrote `subjects` just now, after a read that showed `before`.

        A subject removed in the last minute counts as added though the read shows it: the read may be older.
        """
        added = (subjects - before) | (subjects & self.removed_lately(now))
        self._written.update(dict.fromkeys(added, now))
        self._removed = {subject: at for subject, at in self._removed.items() if subject not in subjects}
        self._unanswered = {subject: at for subject, at in self._unanswered.items() if subject not in subjects}
        self._counted = None
        self.latest = now

    @property
    def last_count(self) -> int:
        """How many were written last, as far as was heard: those of one write are equally old."""
        return sum(at >= self.latest - _MOMENT for times in (self._written, self._heard) for at in times.values())

    def removed(self, subjects: AbstractSet[Subject], now: float) -> None:
        """Remember that this replica removed `subjects` just now."""
        self.forget(subjects)
        self.did_not_remove(subjects)
        self._removed.update(dict.fromkeys(subjects, now))

    def may_remove(self, subjects: AbstractSet[Subject], now: float) -> None:
        """Remember that a write which removes `subjects` is sent: it may be applied, now or later."""
        self._unanswered.update(dict.fromkeys(subjects, now))

    def did_not_remove(self, subjects: AbstractSet[Subject]) -> None:
        """Forget such a write: it was answered."""
        for subject in subjects:
            self._unanswered.pop(subject, None)

    def is_being_removed(self, subject: Subject, now: float) -> bool:
        """Whether a write that removes `subject` has no answer yet, or got none."""
        return self._unanswered.get(subject, float("-inf")) > now - REMEMBERED

    def read(self, shown: AbstractSet[Subject]) -> None:
        """Count those of a write without an answer as removed whom a read does not show."""
        for subject in self._unanswered.keys() - shown:
            self.forget([subject])
            self._removed[subject] = self._unanswered.pop(subject)

    def forget(self, subjects: Iterable[Subject]) -> None:
        """Count these as written no longer: they were removed, or others have their names."""
        for subject in subjects:
            self._written.pop(subject, None)
            self._heard.pop(subject, None)
        self._counted = None

    def hear(self, written: Mapping[Subject, float], removed: Mapping[Subject, float], now: float) -> None:
        """Take in what other replicas are said to have written and removed, and how many seconds ago."""
        self._written = _not_older(
            self._written, now
        )  # what counts no longer must not hide that it was written anew
        for subject, ago in written.items():
            self.latest = max(self.latest, now - ago)
            if ago < REMEMBERED and subject not in self._written:
                self._heard.setdefault(subject, now - ago)
        added = self._heard | self._written
        self._removed = {
            subject: now - ago
            for subject, ago in removed.items()
            if ago < REMEMBERED and now - ago > added.get(subject, float("-inf"))
        }
        self._unanswered = {
            subject: at for subject, at in self._unanswered.items() if at > added.get(subject, float("-inf"))
        }
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

    def believe_removals(self, waiting: AbstractSet[Subject], now: float) -> frozenset[Subject]:
        """Forget the subjects that were removed since they were written, but for those `waiting` for trust.

        Answers which they are.
        """
        gone = self.still_removed((self._heard.keys() | self._written.keys()) - waiting, now)
        self.forget(gone)
        return gone

    def still_removed(self, subjects: Iterable[Subject], now: float) -> frozenset[Subject]:
        """Those of `subjects` that were removed in the last minute and that, as last shown, are unused."""
        removed = self.removed_lately(now)
        return frozenset(one for one in subjects if one in removed and self._seems_unused(one))

    def removed_lately(self, now: float) -> AbstractSet[Subject]:
        """The subjects removed so short a time ago that a read may be too old to show it."""
        self._removed = _not_older(self._removed, now)
        return self._removed.keys()

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

    def ages_of_removals(self, now: float) -> dict[Subject, float]:
        """How many seconds ago each removal was, or may have been, those of other replicas too."""
        self._unanswered = _not_older(self._unanswered, now)
        return {subject: now - at for subject, at in (self._unanswered | _not_older(self._removed, now)).items()}


def _not_older(times: dict[Subject, float], now: float) -> dict[Subject, float]:
    return {subject: at for subject, at in times.items() if at > now - REMEMBERED}
