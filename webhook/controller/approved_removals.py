"""Approved removals: given to role writers and associations, and withdrawn where a binding wants one again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.lock import REMEMBERED
from webhook.model.removal import RemovalReason
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.unused import Entry, UnusedTrust
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.names import RoleArn
    from webhook.podidentity.associations import Associations
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_GONE = 2 * REMEMBERED
"""Seconds without a sight of it after which a removal is done: no read is so old, however late it is looked at."""


@dataclass(frozen=True, slots=True)
class ConfirmedRemoval:
    """A removal that the API server has confirmed."""

    reason: RemovalReason
    counts: bool
    """Whether it counts against the limit."""


@dataclass(frozen=True, slots=True)
class _Approved:
    """A removal that is being written; `seen` is when it was last seen unused, on the clock."""

    seen: float
    counts: bool


class ApprovedRemovals:
    """The removals that the leader has approved and that are not known to be done."""

    def __init__(
        self,
        cache: ClusterCache,
        unused: UnusedTrust,
        writers: Mapping[RoleArn, RoleWriter],
        associations: Associations | None,
        events: Events,
    ) -> None:
        self._cache = cache
        self._unused = unused
        self._writers = writers
        self._associations = associations
        self._events = events
        self._clock = cache.clock
        self._approved: dict[Entry, _Approved] = {}
        for reason in RemovalReason:  # samples from the start, so that a rate sees the first
            metrics.removals_approved.labels(reason.value)
        cache.on_change(self._withdraw_what_is_wanted_again)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._approved

    @property
    def is_empty(self) -> bool:
        """Whether nothing is approved."""
        return not self._approved

    def counted(self) -> list[Entry]:
        """Those that count against the limit and are still there."""
        return [one for one, approved in self._approved.items() if approved.counts and one in self._unused.entries]

    def staying(self) -> int:
        """How many are trusted or associated and not approved; what is approved counts as removed already."""
        pending = sum(self._unused.is_there(entry) for entry in self._approved)
        trusted = sum(len(writer.subjects) for writer in self._writers.values())
        return trusted + (len(self._associations.subjects) if self._associations else 0) - pending

    def refresh(self) -> None:
        """Withdraw what is wanted again, and what is gone for long."""
        now, unused = self._clock(), self._unused.entries
        self._approved = {
            entry: replace(one, seen=now) if entry in unused else one
            for entry, one in self._approved.items()
            if entry in unused or (now - one.seen < _GONE and self._unused.may_remove(entry))
        }

    def approve(self, confirmed: Mapping[Entry, ConfirmedRemoval]) -> None:
        """Approve these, and report each."""
        now = self._clock()
        for entry, one in confirmed.items():
            self._approved[entry] = _Approved(now, one.counts)
            metrics.removals_approved.labels(one.reason.value).inc()
            log.info("removal_approved", **entry.facts, cause=one.reason.value, witnessed=not one.counts)
            if self._cache.account(entry.subject) is not None:
                self._events.note(
                    EventSubject("ServiceAccount", entry.subject.namespace, entry.subject.service_account),
                    "TrustRemoved",
                    f"{_loss(entry)}: {one.reason.sentence}",
                )

    def withdraw_all(self) -> None:
        """Withdraw all approvals."""
        self._approved.clear()
        self.publish()

    def publish(self) -> None:
        """Give writers and associations what is approved now."""
        for role, writer in self._writers.items():
            writer.approve_removals(
                {one.subject for one in self._approved if one.role == role and not one.associated}
            )
        if self._associations:
            self._associations.approve_removals({entry.subject for entry in self._approved if entry.associated})

    def _withdraw_what_is_wanted_again(self, namespace: str) -> None:
        """Withdraw approvals as soon as the watch shows a change, also between two rounds."""
        again = [
            entry
            for entry in self._approved
            if entry.subject.namespace == namespace and self._unused.reason(entry) is None
        ]
        for entry in again:
            del self._approved[entry]
        if again:
            self.publish()


def _loss(entry: Entry) -> str:
    if entry.associated:
        return f"this ServiceAccount is to be associated with {entry.role or 'another role'} no longer"
    return f"{entry.role} is to trust this ServiceAccount no longer"
