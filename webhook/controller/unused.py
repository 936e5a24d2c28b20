"""Which trust is unused, why, and since when: every replica keeps its own record, by its own watch and clock.

So a change of leader begins no grace again. What a replica did not see itself it does not know: one that has just
started counts from its first look.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.coordination.leases import mark
from webhook.model.removal import RemovalReason
from webhook.runtime.run_and_log import run_and_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.desired_state import DesiredState
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.associations import Associations

_YIELD_EVERY = 200
"""Subjects looked at before the loop may answer reviews again."""

_BY_NAMESPACE = frozenset(
    {RemovalReason.NAMESPACE_GONE, RemovalReason.NAMESPACE_REPLACED, RemovalReason.NOT_BOUND}
)
"""Causes of which the watch has shown the moment, whenever the trust itself is first seen."""


@dataclass(frozen=True, slots=True)
class Place:
    """A subject that has a role."""

    role: RoleArn | None
    """None for an association with one that no binding can name."""
    subject: Subject
    associated: bool = False
    """Whether it is there by an association and not by the role's trust policy."""

    @property
    def mark(self) -> str:
        """Names it in the leader's Lease, which has no room for thousands of ARNs."""
        how = "associated" if self.associated else "trusted"
        return mark(f"{self.subject} {how} {self.role}")


@dataclass(frozen=True, slots=True)
class Unused:
    """Why a place is unused, and since when, in seconds on the event loop's clock."""

    cause: RemovalReason
    since: float


class UnusedTrust:
    """All places that are unused by what the watch last showed."""

    def __init__(
        self,
        cache: ClusterCache,
        writers: Mapping[RoleArn, RoleWriter],
        demand: DesiredState,
        associations: Associations | None = None,
    ) -> None:
        self._cache = cache
        self._writers = writers
        self._demand = demand
        self._associations = associations
        self._found: dict[Place, Unused] = {}
        self._by_namespace: defaultdict[str, set[Place]] = defaultdict(set)
        self.urgent = asyncio.Event()
        """Set where something new is found that does not wait for the grace."""
        cache.on_change(self._look_at)

    async def run(self, interval: float) -> None:
        """Look every `interval` seconds until cancelled, whether this replica leads or not."""
        await self._cache.wait_until_synced()
        while True:
            if self._cache.in_touch:
                await run_and_log("unused_trust_not_looked_at", self.look(), "unused")
            await asyncio.sleep(interval)

    @property
    def places(self) -> Mapping[Place, Unused]:
        """What was found."""
        return self._found

    async def look(self) -> None:
        """Look at all that is trusted or associated; changes of namespaces are judged as the watch shows them."""
        seen: set[Place] = set()
        for number, place in enumerate(list(self._trusted())):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            seen.add(place)
            self._judge(place)
        for place in self._found.keys() - seen:
            self._forget(place)

    def cause(self, place: Place) -> RemovalReason | None:
        """Why a place is unused by what the watch last showed, or None where it is not."""
        subject = place.subject
        return self.cause_by(place, self._cache.cached(subject.namespace), self._cache.account(subject))

    def cause_by(
        self, place: Place, namespace: LiveNamespace | None, account: Account | None
    ) -> RemovalReason | None:
        """The same, by a namespace and a ServiceAccount that the API server has just shown."""
        if place.associated or place.role is None:
            return self._cache.cause_to_dissociate(place.role, place.subject, namespace, account)
        return self._demand.cause_by(place.role, place.subject, namespace, account)

    def may_remove(self, place: Place) -> bool:
        """Whether no binding wants it by what was last shown, nor may soon."""
        if place.associated or place.role is None:
            return self._cache.may_dissociate(place.subject, place.role)
        return self._demand.may_leave(place.role, place.subject)

    def is_deletion_witnessed(self, place: Place) -> bool:
        """Whether this replica's watch witnessed that its namespace was deleted."""
        name, one = place.subject.namespace, self._found.get(place)
        return (
            one is not None
            and one.cause.is_deletion
            and self._cache.former.was_deleted(name, self._cache.cached(name))
        )

    def is_there(self, place: Place) -> bool:
        """Whether it is still trusted, or associated, as far as this replica knows."""
        if place.associated or place.role is None:
            return self._associations is not None and place.subject in self._associations.subjects
        return place.subject in self._writers[place.role].subjects

    def is_trusted_in(self, namespace: str) -> bool:
        """Whether anything in a namespace is trusted, or associated."""
        associated = self._associations.subjects if self._associations else {}
        return any(
            subject in associated or any(subject in writer.subjects for writer in self._writers.values())
            for subject in self._cache.subjects_in(namespace)
        )

    def _trusted(self) -> Iterator[Place]:
        for role, writer in self._writers.items():
            for subject in writer.subjects:
                yield Place(role, subject)
        if self._associations:
            for subject, role_or_none in self._associations.subjects.items():
                yield Place(role_or_none, subject, associated=True)

    def _look_at(self, namespace: str) -> None:
        """Something has changed in a namespace."""
        known = self._by_namespace.get(namespace, ())
        bound = (Place(role, one) for one in self._cache.subjects_in(namespace) for role in self._writers)
        for place in {*known, *(one for one in bound if self.is_there(one))}:
            self._judge(place)

    def _judge(self, place: Place) -> None:
        cause = self.cause(place)
        if cause is None:
            self._forget(place)
            return
        before = self._found.get(place)
        if before is not None and before.cause is cause:
            return
        # Another cause begins anew: what a list lacked and a later one has may have been wanted in between.
        shown = self._cache.former.unused_since(place.subject.namespace) if cause in _BY_NAMESPACE else None
        self._found[place] = Unused(cause, asyncio.get_running_loop().time() if shown is None else shown)
        self._by_namespace[place.subject.namespace].add(place)
        if not cause.waits_for_grace:
            self.urgent.set()

    def _forget(self, place: Place) -> None:
        if self._found.pop(place, None) is not None:
            places = self._by_namespace[place.subject.namespace]
            places.discard(place)
            if not places:
                del self._by_namespace[place.subject.namespace]
