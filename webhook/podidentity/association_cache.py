"""What is known of a cluster's associations without asking: by the last list, and by what was described since."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from webhook.model.outcomes import TrustSource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association, Listing, Ownership

SETTLES_WITHIN = 30.0
"""Seconds for which a list may not show what was made: EKS's reads can be late."""


PROPAGATED_WITHIN = 15.0
"""Seconds until EKS's webhook has heard of one: 5 to 15 by what people report (eks-pod-identity-agent#52)."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A ServiceAccount's association as last described or made, and when, on the event loop's clock."""

    role: RoleArn
    proof: TrustSource
    at: float


class AssociationCache:
    """The ids of all associations, whose they are, and which role each gives, as far as they were looked at."""

    def __init__(self, owner: Ownership) -> None:
        self._owner = owner
        self._ids: dict[Subject, str] = {}
        self._since: dict[Subject, float] = {}
        self._known: dict[Subject, _Known] = {}
        self._external: set[str] = set()
        self._managed: dict[Subject, RoleArn | None] = {}

    @property
    def count(self) -> int:
        """How many there are, external ones too."""
        return len(self._ids)

    def id_of(self, subject: Subject) -> str | None:
        """The id of the subject's association, as far as one was seen."""
        return self._ids.get(subject)

    def trust_source(self, subject: Subject, role: RoleArn) -> TrustSource | None:
        """How `subject` is known to be associated with `role`, or None."""
        known = self._known.get(subject)
        return known.proof if known and known.role == role else None

    def is_undescribed(self, subject: Subject) -> bool:
        """Whether it is listed as nobody else's and was not looked at yet."""
        listed = self._ids.get(subject)
        return listed is not None and listed not in self._external and subject not in self._known

    @property
    def managed(self) -> Mapping[Subject, RoleArn | None]:
        """Whose association is ours for certain, and which role it gave when it was seen.

        None for a role that no binding can name.
        """
        return self._managed

    def record_id(self, subject: Subject, association_id: str) -> None:
        """EKS says that there is one; it was not described."""
        if self._ids.get(subject) != association_id:
            self._ids[subject], self._since[subject] = association_id, _now()

    def record(self, found: Association) -> None:
        """It was described or made."""
        self.record_id(found.subject, found.id)
        if self._owner.owns(found):
            self._managed[found.subject] = found.role_arn
        else:
            self._managed.pop(found.subject, None)
            self._external.add(found.id)

    def confirm(self, subject: Subject, role: RoleArn, proof: TrustSource) -> None:
        """It gives `role`, by what was seen or done just now."""
        later = TrustSource.ALREADY if proof is TrustSource.WRITTEN else proof
        self._known[subject] = _Known(role, later, _now())

    def is_propagated(self, subject: Subject) -> bool:
        """Whether EKS's webhook has had the time to hear of it."""
        since = self._since.get(subject)
        is_right = subject in self._known or self.is_undescribed(subject)
        return is_right and since is not None and since <= _now() - PROPAGATED_WITHIN

    def mark_conflicting(self, found: Association) -> None:
        """It gives the subject something else, and is not ours to change."""
        self._known.pop(found.subject, None)
        self._external.add(found.id)

    def invalidate(self, subject: Subject) -> None:
        """It is being deleted: what is known of it no longer counts until it is looked at again."""
        self._known.pop(subject, None)

    def remove(self, subject: Subject) -> None:
        """The subject has none."""
        self._ids.pop(subject, None)
        self._since.pop(subject, None)
        self._known.pop(subject, None)
        self._managed.pop(subject, None)

    def update(self, listing: Listing) -> None:
        """Take in a list. What is not in it is gone, unless it is so young that the list may be too old."""
        old = _now() - SETTLES_WITHIN
        for subject in self._ids.keys() - listing.ids.keys():
            if self._is_settled(subject) and self._since[subject] < old:
                self.remove(subject)
        for subject, association_id in listing.ids.items():
            self.record_id(subject, association_id)
        self._external = (self._external & set(self._ids.values())) | listing.of_addons

    def update_one(self, subject: Subject, listing: Listing) -> None:
        """Take in a list that was asked for this subject alone."""
        if (found := listing.ids.get(subject)) is not None:
            self.record_id(subject, found)
            self._external |= listing.of_addons

    def stalest(self, wanted: Collection[Subject], most: int) -> list[Subject]:
        """Those of `wanted` that were looked at longest ago, but none that EKS may not show yet."""
        settled = [subject for subject in wanted if subject in self._ids and self._is_settled(subject)]
        return sorted(settled, key=self._seen_at)[:most]

    def undescribed(self, but: Collection[Subject], most: int) -> list[Subject]:
        """Those who may be ours and were never looked at, but not these."""
        known = self._managed.keys() | set(but)
        unknown = (one for one, listed in self._ids.items() if one not in known and listed not in self._external)
        return list(islice(unknown, most))

    def _is_settled(self, subject: Subject) -> bool:
        known = self._known.get(subject)
        return known is None or known.at < _now() - SETTLES_WITHIN

    def _seen_at(self, subject: Subject) -> float:
        known = self._known.get(subject)
        return known.at if known else 0.0


def _now() -> float:
    return asyncio.get_running_loop().time()
