"""What is known of a cluster's associations without a call: by the last list and by descriptions since."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from webhook.model.outcomes import TrustSource
from webhook.podidentity.association import QUOTA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association, Listing, Ownership
    from webhook.runtime.clock import Clock

SETTLES_WITHIN = 30.0
"""Seconds for which a list may not show what was created: EKS's reads can be late."""

PROPAGATED_WITHIN = 15.0
"""Seconds until EKS's webhook knows an association: 5 to 15 by what people report (eks-pod-identity-agent#52)."""


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """The role that an association gave when it was last described or written, and when that was."""

    role: RoleArn
    source: TrustSource
    at: float


class AssociationCache:
    """The id of each association and, as far as it was described, its owner and role."""

    def __init__(self, owner: Ownership, clock: Clock) -> None:
        self._owner = owner
        self._clock = clock
        self._ids: dict[Subject, str] = {}
        self._since: dict[Subject, float] = {}
        self._confirmed: dict[Subject, _Confirmed] = {}
        self._external: set[str] = set()
        self._managed: dict[Subject, RoleArn | None] = {}
        self._deletions: dict[Subject, asyncio.Event] = {}

    @property
    def is_full(self) -> bool:
        """Whether the cluster has as many as EKS allows, by the last list and what was created since."""
        return len(self._ids) >= QUOTA

    @property
    def managed(self) -> Mapping[Subject, RoleArn | None]:
        """The role of each association that is certainly managed, as last described.

        None for a role that no binding can name.
        """
        return self._managed

    def id_of(self, subject: Subject) -> str | None:
        """The id of the subject's association, or None where none was seen."""
        return self._ids.get(subject)

    def trust_source(self, subject: Subject, role: RoleArn) -> TrustSource | None:
        """How `subject` is known to be associated with `role`, or None.

        None too while the association is being deleted: a request then waits for the end, and creates it again.
        """
        confirmed = self._confirmed.get(subject)
        is_known = confirmed and confirmed.role == role and subject not in self._deletions
        return confirmed.source if confirmed and is_known else None

    def is_undescribed(self, subject: Subject) -> bool:
        """Whether it is listed, not known to be external, and not described yet."""
        listed = self._ids.get(subject)
        is_described = listed in self._external or subject in self._confirmed
        return listed is not None and not is_described and subject not in self._deletions

    def is_propagated(self, subject: Subject) -> bool:
        """Whether the association is old enough for EKS's webhook to know it."""
        since = self._since.get(subject)
        is_correct = subject in self._confirmed or self.is_undescribed(subject)
        return is_correct and since is not None and since <= self._clock() - PROPAGATED_WITHIN

    def stalest(self, wanted: Collection[Subject], most: int) -> list[Subject]:
        """Those of `wanted` that were described longest ago, without those too new for EKS to show."""
        settled = [subject for subject in wanted if subject in self._ids and self._is_settled(subject)]
        return sorted(settled, key=self._confirmed_at)[:most]

    def undescribed(self, but: Collection[Subject], most: int) -> list[Subject]:
        """Those that may be managed and were never described, except for `but`."""
        known = self._managed.keys() | set(but)
        unknown = (one for one, listed in self._ids.items() if one not in known and listed not in self._external)
        return list(islice(unknown, most))

    def record_id(self, subject: Subject, association_id: str) -> None:
        """Record that EKS has named it, without a description."""
        if self._ids.get(subject) != association_id:
            self._ids[subject], self._since[subject] = association_id, self._clock()

    def record(self, found: Association) -> None:
        """Record that it was described or created."""
        self.record_id(found.subject, found.id)
        if self._owner.owns(found):
            self._managed[found.subject] = found.role_arn
        else:
            self._managed.pop(found.subject, None)
            self._external.add(found.id)

    def confirm(self, subject: Subject, role: RoleArn, source: TrustSource) -> None:
        """Record that it gives `role`, as was read or written just now."""
        later = TrustSource.ALREADY if source is TrustSource.WRITTEN else source
        self._confirmed[subject] = _Confirmed(role, later, self._clock())

    def mark_conflicting(self, found: Association) -> None:
        """Record that it gives the subject another role, and that only a person may change it."""
        self._confirmed.pop(found.subject, None)
        self._external.add(found.id)

    @contextmanager
    def deleting(self, subject: Subject) -> Iterator[None]:
        """Inside the `with` it is being deleted. What was confirmed does not count until it is described again."""
        self._confirmed.pop(subject, None)
        ended = self._deletions[subject] = asyncio.Event()
        try:
            yield
        finally:
            del self._deletions[subject]
            ended.set()

    async def wait_for_deletion(self, subject: Subject) -> None:
        """Wait for the end of a deletion under way of the subject's association, where there is one."""
        if deletion := self._deletions.get(subject):
            await deletion.wait()

    def remove(self, subject: Subject) -> None:
        """Record that the subject has none."""
        for known in (self._ids, self._since, self._confirmed, self._managed):
            known.pop(subject, None)

    def update(self, listing: Listing) -> None:
        """Record a whole list. What it lacks is forgotten, unless it is so new that the list may be too old."""
        old = self._clock() - SETTLES_WITHIN
        for subject in self._ids.keys() - listing.ids.keys():
            if self._is_settled(subject) and self._since[subject] < old:
                self.remove(subject)
        for subject, association_id in listing.ids.items():
            self.record_id(subject, association_id)
        self._external = (self._external & set(self._ids.values())) | listing.of_addons

    def update_one(self, subject: Subject, listing: Listing) -> None:
        """Record a list of this subject alone."""
        if (found := listing.ids.get(subject)) is not None:
            self.record_id(subject, found)
            self._external |= listing.of_addons

    def _is_settled(self, subject: Subject) -> bool:
        confirmed = self._confirmed.get(subject)
        return confirmed is None or confirmed.at < self._clock() - SETTLES_WITHIN

    def _confirmed_at(self, subject: Subject) -> float:
        confirmed = self._confirmed.get(subject)
        return confirmed.at if confirmed else 0.0
