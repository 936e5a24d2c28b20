"""Which trust is unused, why, and since when: the grace counts from there (`_check`).

Every replica keeps its own record, by its own watch and clock. So a change of leader begins no grace again. A
replica that has just started counts from its first refresh, because it knows only what it has seen itself.

Trust in a terminating namespace is in use until the namespace is gone. The leader reports where that takes long.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.coordination.leases import digest
from webhook.model.removal import RemovalReason
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.desired_state import DesiredState
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.names import RoleArn, Subject
    from webhook.model.removal import Shown
    from webhook.podidentity.associations import Associations

log = structlog.get_logger(__name__)

_LONG = 3600.0
"""Seconds for which a trusted namespace may be terminating before a person should act."""

_YIELD_EVERY = 200
"""Subjects checked before the loop may answer reviews again."""

_BY_NAMESPACE = frozenset(
    {RemovalReason.NAMESPACE_GONE, RemovalReason.NAMESPACE_REPLACED, RemovalReason.NOT_BOUND}
)
"""Reasons that count from when the watch showed the namespace change, even if the trust is first seen later."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A subject that has a role: by the role's trust policy, or by an association."""

    role: RoleArn | None
    """None for an association with one that no binding can name."""
    subject: Subject
    associated: bool = False

    @property
    def digest(self) -> str:
        """Names it in the leader's Lease, which has no room for thousands of ARNs."""
        how = "associated" if self.associated else "trusted"
        return digest(f"{self.subject} {how} {self.role}")

    @property
    def facts(self) -> dict[str, str]:
        """What the log says of it."""
        return {**self.subject.log_fields, "role_arn": self.role.value if self.role else ""}


@dataclass(frozen=True, slots=True)
class Unused:
    """Why an entry is unused, and since when, in seconds on the clock."""

    reason: RemovalReason
    since: float


class UnusedTrust:
    """All entries that are unused by what the watch last showed."""

    def __init__(
        self,
        cache: ClusterCache,
        writers: Mapping[RoleArn, RoleWriter],
        desired: DesiredState,
        associations: Associations | None = None,
    ) -> None:
        self._cache = cache
        self._writers = writers
        self._desired = desired
        self._associations = associations
        self._clock = cache.clock
        self._found: dict[Entry, Unused] = {}
        self._by_namespace: defaultdict[str, set[Entry]] = defaultdict(set)
        self.urgent = asyncio.Event()
        """Set where something new is found that does not wait for the grace."""
        cache.on_change(self._namespace_changed)

    async def run(self, interval: float) -> None:
        """Refresh every `interval` seconds until cancelled, whether this replica leads or not."""
        await self._cache.wait_until_synced()
        while True:
            if self._cache.in_touch:
                await run_and_log("unused_trust_not_refreshed", self.refresh(), "unused")
            await asyncio.sleep(interval)

    @property
    def entries(self) -> Mapping[Entry, Unused]:
        """What was found."""
        return self._found

    async def refresh(self) -> None:
        """Check all that is trusted or associated. Between refreshes, `_namespace_changed` checks what changes."""
        seen: set[Entry] = set()
        for number, entry in enumerate(list(self._trusted())):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            seen.add(entry)
            self._check(entry)
        for entry in self._found.keys() - seen:
            self._forget(entry)

    def reason(self, entry: Entry, live: Shown | None = None) -> RemovalReason | None:
        """Why an entry is unused by what the watch last showed, or by what the API server shows `live`."""
        return self._desired.removal_reason(entry.role, entry.subject, associated=entry.associated, live=live)

    def may_remove(self, entry: Entry) -> bool:
        """Whether it is certainly unused now, so that its removal may be approved."""
        return self._desired.may_remove(entry.role, entry.subject, associated=entry.associated)

    def is_deletion_witnessed(self, entry: Entry) -> bool:
        """Whether this replica's watch witnessed that its namespace was deleted."""
        name, one = entry.subject.namespace, self._found.get(entry)
        return (
            one is not None
            and one.reason.is_deletion
            and self._cache.former.was_deleted(name, self._cache.cached(name))
        )

    def is_there(self, entry: Entry) -> bool:
        """Whether it is still trusted, or associated, as far as this replica knows."""
        if entry.associated or entry.role is None:
            return self._associations is not None and entry.subject in self._associations.subjects
        return entry.subject in self._writers[entry.role].subjects

    def is_trusted_in(self, namespace: str) -> bool:
        """Whether anything in a namespace is trusted, or associated."""
        associated = self._associations.subjects if self._associations else {}
        return any(
            subject in associated or any(subject in writer.subjects for writer in self._writers.values())
            for subject in self._cache.subjects_in(namespace)
        )

    def _trusted(self) -> Iterator[Entry]:
        for role, writer in self._writers.items():
            for subject in writer.subjects:
                yield Entry(role, subject)
        if self._associations:
            for subject, role_or_none in self._associations.subjects.items():
                yield Entry(role_or_none, subject, associated=True)

    def _namespace_changed(self, namespace: str) -> None:
        """Something has changed in a namespace."""
        known = self._by_namespace.get(namespace, ())
        bound = (Entry(role, one) for one in self._cache.subjects_in(namespace) for role in self._writers)
        for entry in {*known, *(one for one in bound if self.is_there(one))}:
            self._check(entry)

    def _check(self, entry: Entry) -> None:
        """Record whether an entry is unused, and since when."""
        reason = self.reason(entry)
        if reason is None:
            self._forget(entry)
            return
        before = self._found.get(entry)
        if before is not None and before.reason is reason:
            return
        # Another reason begins a new grace: between the two, a binding may have wanted the subject.
        shown = self._cache.former.unused_since(entry.subject.namespace) if reason in _BY_NAMESPACE else None
        self._found[entry] = Unused(reason, self._clock() if shown is None else shown)
        self._by_namespace[entry.subject.namespace].add(entry)
        if not reason.waits_for_grace:
            self.urgent.set()

    def _forget(self, entry: Entry) -> None:
        if self._found.pop(entry, None) is not None:
            entries = self._by_namespace[entry.subject.namespace]
            entries.discard(entry)
            if not entries:
                del self._by_namespace[entry.subject.namespace]


class StuckNamespaces:
    """Namespaces that are trusted and stay terminating: counted, and each logged once."""

    def __init__(self, cache: ClusterCache, unused: UnusedTrust) -> None:
        self._cache = cache
        self._unused = unused
        self._logged: frozenset[str] = frozenset()

    def show(self) -> None:
        """Count them now."""
        stuck = frozenset(
            name for name in self._cache.former.terminating_for(_LONG) if self._unused.is_trusted_in(name)
        )
        metrics.namespaces_stuck_terminating.set(len(stuck))
        for name in sorted(stuck - self._logged):
            log.warning(
                "namespace_stuck_terminating",
                namespace=name,
                reason="it has been terminating for more than an hour and is trusted until it is gone: see its "
                "conditions for the finalizer that it waits for",
            )
        self._logged = stuck

    def end(self) -> None:
        """Show none: this replica leads no longer."""
        metrics.namespaces_stuck_terminating.set(0)
        self._logged = frozenset()
