"""What the last minute's writes of a role did, by any replica: a read of IAM may be too old to show it.

`RecentWrites` has what counts beside a read. `StaleReads` tells a read that is too old from an external edit.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from webhook.coordination.lock import MOST_REPORTED, REMEMBERED
from webhook.iam.trust_policy import canonical_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import Subject

_MOMENT = 1e-3
"""Seconds; no two writes of a role are as close."""

_LONG_AGO = float("-inf")

_LOOKS = 3
"""How often in a row an edit has to be read."""

_SECONDS = 5.0
"""Seconds from the first of those reads to the last, at least."""

_LONGEST_PAUSE = 10.0
"""Seconds from one look to the next."""


class RecentWrites:
    """What the writes of the last minute added and removed, whatever a read shows. Times are seconds on one clock.

    What this replica did counts at once. What a Lease names is a hint, because a subject that may update Leases
    can forge it. A hint counts only where this replica's watch of the cluster confirms it:

    - An addition counts once the cluster may want the subject. It is forgotten where that does not come true
      within the minute. While the watch has not shown the namespace, nothing confirms the addition. A stale read
      can then remove the subject again; once the watch shows the namespace, the look at it adds the subject back.
      Once the namespace is gone, nothing confirms it either. A read that shows the subject keeps it even so.
    - A removal counts only while the subject seems unused. So a hint removes no subject that the cluster, as last
      shown, wants. A later write of the subject ends the removal.

    Every removal is passed on, whether it counts here or not. So each Lease names the removals of the one before,
    and the last Lease read is all that is known of other replicas' removals.
    """

    def __init__(self) -> None:
        self._written: dict[Subject, float] = {}
        """Additions that count, and when each was written."""
        self._unconfirmed: dict[Subject, float] = {}
        """Additions that a Lease names and that the cluster has not confirmed."""
        self._removed: dict[Subject, float] = {}
        """Removals by any replica, and when each was written."""
        self._unanswered: dict[Subject, float] = {}
        """Removals in a write of this replica that has no answer, and when it was sent."""
        self._counted: frozenset[Subject] | None = None
        """`_written` as a set, until that changes."""
        self._counted_until = _LONG_AGO
        self._pods_written = _LONG_AGO
        self.latest = _LONG_AGO
        """When any replica wrote last, as far as is known."""

    # What this replica does

    def wrote(self, subjects: AbstractSet[Subject], before: AbstractSet[Subject], now: float) -> None:
        """Remember that this replica wrote `subjects` just now, after a read that showed `before`.

        A subject removed in the last minute counts as added though the read shows it: the read may be from before
        the removal, and the next one from between the two.
        """
        added = (subjects - before) | (subjects & self.removed(now))
        self._written = _not_older(self._written, now) | dict.fromkeys(added, now)
        self._removed = {subject: at for subject, at in self._removed.items() if subject not in subjects}
        self._unanswered = {subject: at for subject, at in self._unanswered.items() if subject not in subjects}
        self._counted = None
        self.latest = now

    def wrote_for_pods(self, now: float) -> None:
        """Remember that this replica wrote, or removed, statements for pods just now."""
        self._pods_written = now

    def record_removal(self, subjects: AbstractSet[Subject], now: float) -> None:
        """Remember that this replica removed `subjects` just now."""
        self.forget(subjects)
        self.drop_unanswered(subjects)
        self._removed = _not_older(self._removed, now) | dict.fromkeys(subjects, now)

    def record_unanswered(self, subjects: AbstractSet[Subject], now: float) -> None:
        """Remember that a write which removes `subjects` is sent: it may be applied, now or later."""
        self._unanswered = _not_older(self._unanswered, now) | dict.fromkeys(subjects, now)

    def drop_unanswered(self, subjects: AbstractSet[Subject]) -> None:
        """Forget that a write which removes `subjects` has no answer: it got one."""
        for subject in subjects:
            self._unanswered.pop(subject, None)

    def settle_unanswered(self, shown: AbstractSet[Subject]) -> None:
        """Take in a read that shows `shown`: what a write without an answer removes, and it lacks, is removed."""
        for subject in self._unanswered.keys() - shown:
            self.forget([subject])
            self._removed[subject] = self._unanswered.pop(subject)

    def forget(self, subjects: Iterable[Subject]) -> None:
        """No longer count these as written: they were removed, or their namespaces recreated."""
        for subject in subjects:
            self._written.pop(subject, None)
            self._unconfirmed.pop(subject, None)
        self._counted = None

    # What other replicas do

    def learn(self, written: Mapping[Subject, float], removed: Mapping[Subject, float], now: float) -> None:
        """Take in what a Lease names as written and removed, and how many seconds ago each was."""
        # An addition that is too old to count must not hide that the subject was written again.
        self._written = _not_older(self._written, now)
        for subject, ago in written.items():
            self.latest = max(self.latest, now - ago)
            if ago < REMEMBERED and subject not in self._written:
                self._unconfirmed.setdefault(subject, now - ago)
        added = self._unconfirmed | self._written
        self._removed = {
            subject: now - ago
            for subject, ago in removed.items()
            if ago < REMEMBERED and now - ago > added.get(subject, _LONG_AGO)
        }
        self._unanswered = {
            subject: at for subject, at in self._unanswered.items() if at > added.get(subject, _LONG_AGO)
        }
        if len(self._unconfirmed) > MOST_REPORTED:
            self._unconfirmed = dict(
                heapq.nlargest(MOST_REPORTED, self._unconfirmed.items(), key=lambda item: item[1])
            )

    def confirm_additions(self, may_want: Callable[[Subject], bool], now: float) -> list[Subject]:
        """Count the additions of other replicas that the cluster may want; answers which they are."""
        self._unconfirmed = _not_older(self._unconfirmed, now)
        confirmed = [subject for subject in self._unconfirmed if may_want(subject)]
        for subject in confirmed:
            self._written.setdefault(subject, self._unconfirmed.pop(subject))
            self._counted = None
        return confirmed

    def confirm_removals(
        self, seems_unused: Callable[[Subject], bool], pending: AbstractSet[Subject], now: float
    ) -> frozenset[Subject]:
        """Forget the additions that were removed since, except for those `pending`; answers which they are."""
        asked = (self._unconfirmed.keys() | self._written.keys()) & self.removed(now)
        gone = frozenset(one for one in asked if one not in pending and seems_unused(one))
        self.forget(gone)
        return gone

    # What counts

    def is_being_removed(self, subject: Subject, now: float) -> bool:
        """Whether a write that removes `subject` has no answer yet, or got none."""
        return self._unanswered.get(subject, _LONG_AGO) > now - REMEMBERED

    def subjects(self, now: float) -> frozenset[Subject]:
        """The subjects that count as written. Each review asks, so the set is made again only where it changes."""
        if self._counted is None or now >= self._counted_until:
            young = _not_older(self._written, now)
            self._counted = frozenset(young)
            self._counted_until = min(young.values(), default=float("inf")) + REMEMBERED
        return self._counted

    def removed(self, now: float) -> AbstractSet[Subject]:
        """The subjects removed so short a time ago that a read may be too old to show it."""
        return _not_older(self._removed, now).keys()

    @property
    def last_count(self) -> int:
        """How many were written last, as far as is known: those of one write are equally old."""
        return sum(
            at >= self.latest - _MOMENT for times in (self._written, self._unconfirmed) for at in times.values()
        )

    def may_hide(self, now: float) -> bool:
        """Whether something was written so short a time ago that a read may not show it."""
        return bool(self.subjects(now) or self.removed(now)) or self.may_hide_pods(now)

    def may_hide_pods(self, now: float) -> bool:
        """Whether our statements for pods were written so short a time ago that a read may not show it."""
        return now - self._pods_written < REMEMBERED

    def ages(self, now: float) -> dict[Subject, float]:
        """What counts as written, and how many seconds ago. What is not confirmed is not passed on."""
        return {subject: now - at for subject, at in _not_older(self._written, now).items()}

    def ages_of_removals(self, now: float) -> dict[Subject, float]:
        """How many seconds ago each removal was, or may have been, those of other replicas too."""
        removed = _not_older(self._unanswered, now) | _not_older(self._removed, now)
        return {subject: now - at for subject, at in removed.items()}


def _not_older(times: dict[Subject, float], now: float) -> dict[Subject, float]:
    return {subject: at for subject, at in times.items() if at > now - REMEMBERED}


class StaleReads:
    """Counts the reads in a row ("looks") that lack what was written in the last minute. Times are clock seconds.

    A stale read shows a policy from before our write. So what this replica read before a write of the last minute,
    or wrote in it, is never treated as an edit. An edit that puts an old policy back waits for that minute. Any
    other policy counts as an edit once three looks in a row have shown it, over five seconds or more. Where that
    is wrong it costs one write, which drops no subject of ours. The policy is known from then on, so no second
    write follows.
    """

    def __init__(self) -> None:
        self._known: dict[int, float] = {}
        self._shown: int | None = None
        self._since = 0.0
        self._looks = 0

    def wrote(self, before: TrustPolicy, after: TrustPolicy, now: float) -> None:
        """Remember what was read before a write, and what was written."""
        self._known = {one: at for one, at in self._known.items() if at > now - REMEMBERED}
        self._known |= {_fingerprint(before): now, _fingerprint(after): now}
        self.settle()

    def settle(self) -> None:
        """Forget the looks: a read has shown what should be there, or a write has just made it so."""
        self._shown, self._looks = None, 0

    def record_look(self, policy: TrustPolicy, now: float) -> None:
        """Count one more look, which showed `policy`."""
        shown = _fingerprint(policy)
        if shown != self._shown:
            self._shown, self._since, self._looks = shown, now, 0
        self._looks += 1

    def is_edit(self, now: float) -> bool:
        """Whether what the last looks have shown is an external edit."""
        return self._shown not in self._known and self._looks >= _LOOKS and now - self._since >= _SECONDS

    @property
    def pause(self) -> float:
        """Seconds until the next look: 1, 2, 4 and so on up to 10 for as long as it shows the same."""
        return min(2.0 ** min(self._looks - 1, 10), _LONGEST_PAUSE)


def _fingerprint(policy: TrustPolicy) -> int:
    return hash(canonical_policy(policy.document))
