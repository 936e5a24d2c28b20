"""The pruner: unused trust is removed, after the grace, at the limit's rate, and after one more look.

Only the leader prunes. A watch can be wrong for a while (an API server that lost its data, a list cut short), and
so can a label or a binding. So trust must have been unused for the grace, only so much is removed within an hour,
and each removal is confirmed by a read of the live namespace and ServiceAccount right before. A deletion of the
namespace that this replica's watch has witnessed is no mistake: it does not count, and where a new subject finds
no room it does not wait.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from webhook.controller.live_reader import live
from webhook.controller.terminating import StuckNamespaces
from webhook.controller.unused import UnusedTrust
from webhook.coordination.recent_writes import REMEMBERED
from webhook.model.errors import ClusterError
from webhook.model.removal import RemovalReason
from webhook.runtime.run_and_log import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.desired_state import DesiredState
    from webhook.controller.leader_election import Leadership
    from webhook.controller.ports import Cluster
    from webhook.controller.unused import Place
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.names import RoleArn
    from webhook.model.removal_limit import PruneRules
    from webhook.podidentity.associations import Associations
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_AT_ONCE = 8
"""Removals confirmed at the same time."""

_LONGEST_STEP = 300.0
"""Seconds of a few calls that wait for their turn."""

_LONGEST_PAUSE = 30.0
"""Seconds from one look to the next at most; those whose grace ends meanwhile share a write."""

_SHORTEST_PAUSE = 0.2

_MOMENT = 2.0
"""Seconds until the pruner sees that a new subject finds no room."""


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """A removal that the API server has confirmed."""

    cause: RemovalReason
    counts: bool
    """Whether it counts against the limit."""


@dataclass(frozen=True, slots=True)
class _Approved:
    """A removal that is being written; `seen` is when it was last seen unused, on the event loop's clock."""

    seen: float
    counts: bool


class Pruner:
    """What the leader remembers of removals. `unused` is what every replica keeps, whether it leads or not.

    `made_room` is called once removals are under way that give way to new subjects: these may be tried again.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a program that it works with
        self,
        cache: ClusterCache,
        writers: Mapping[RoleArn, RoleWriter],
        demand: DesiredState,
        cluster: Cluster,
        events: Events,
        rules: PruneRules,
        associations: Associations | None = None,
        progress: Progress | None = None,
        made_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._cache = cache
        self._writers = writers
        self._cluster = cluster
        self._events = events
        self._rules = rules
        self._associations = associations
        self._progress = progress or Progress()
        self._made_room = made_room
        self.unused = UnusedTrust(cache, writers, demand, associations)
        self._approved: dict[Place, _Approved] = {}
        self._tried: frozenset[Place] = frozenset()
        """Whose time had come at the last look."""
        self._unconfirmed: dict[Place, float] = {}
        """When the API server last did not confirm the removal, of those that are still unused."""
        self._waiting = 0
        self._stuck = StuckNamespaces(cache, self.unused.is_trusted_in)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._show_waiting(0)
        for cause in RemovalReason:  # samples from the start, so that a rate sees the first
            metrics.removals_approved.labels(cause.value)
        cache.on_change(self._keep_what_is_wanted_again)

    async def run(self, term: Leadership, interval: float) -> None:
        """Prune every `interval` seconds or oftener, and within seconds what does not wait, until cancelled."""
        await self._cache.wait_until_synced()
        try:
            while True:
                if await run_and_log("prune_failed", self.once(term), "leader"):
                    metrics.prune_last_success.set_to_current_time()
                await self._wait(min(interval, _LONGEST_PAUSE))
        finally:
            self._end()

    async def once(self, term: Leadership) -> None:
        """Look at all that is unused, and remove what may be removed now.

        Raises ClusterError: the watch cannot be relied on, or, as NotLeadingError, another replica leads.
        """
        if not self._cache.in_touch:
            raise ClusterError("the watch is out of touch with the API server, so what is unused is not known")
        await self.unused.look()
        self._forget_approvals()
        self._take_up_what_is_left(term)
        term.leaving = tuple(
            place.mark for place, one in self._approved.items() if one.counts and place in self.unused.places
        )
        term.witnessed = tuple(one.mark for one in self.unused.places if self.unused.is_deletion_witnessed(one))
        without_room = self._without_room()
        due = self._due(without_room)
        self._tried = frozenset(due)
        free = [place for place in due if self.unused.is_deletion_witnessed(place)]
        counted = [place for place in due if not self.unused.is_deletion_witnessed(place)]
        room = self._rules.left(self._staying(), term.removed_within_the_hour())
        self._show_waiting(max(len(counted) - room, 0))
        confirmed = _within(room, await self._confirm([*free, *counted[:room]]))
        if confirmed:
            new = sum(one.counts for one in confirmed.values())
            counting = [one for one, approved in self._approved.items() if approved.counts]
            counting += [one for one, found in confirmed.items() if found.counts]
            with self._progress.step("pruner", _LONGEST_STEP):
                await term.record_removals(new, {one.mark for one in counting if one in self.unused.places})
            self._approve({place: one for place, one in confirmed.items() if place in self.unused.places})
        metrics.removals_pending.set(len(self.unused.places))
        self._stuck.show()
        self._have_them_removed()
        if any(self._is_in_the_way(place, without_room) for place in confirmed):
            self._made_room()

    async def _wait(self, seconds: float) -> None:
        """Wait for so many seconds, or until there is something that does not wait for the grace."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        left = seconds - _SHORTEST_PAUSE
        while left > 0 and not self._is_hurried():
            self.unused.urgent.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_MOMENT, left)):
                    await self.unused.urgent.wait()
            left -= _MOMENT

    def _is_hurried(self) -> bool:
        """Whether something may be removed before its grace is over that the last look did not try."""
        roles = self._without_room()
        return self._cache.in_touch and any(
            place not in self._tried and self._is_due(place, roles) and self._does_not_wait(place, roles)
            for place in self.unused.places
        )

    def _due(self, without_room: frozenset[RoleArn | None]) -> list[Place]:
        """What may be removed now by its time, in the order of the limit: the longest unused first.

        Before all comes what is recreated and not selected: whoever recreated it inherits no trust. What could not
        be confirmed comes last, so that a watch that is wrong about some does not keep up the others.
        """
        due = [place for place in self.unused.places if self._is_due(place, without_room)]

        def rank(place: Place) -> tuple[float, bool, float, str]:
            one = self.unused.places[place]
            return self._unconfirmed.get(place, 0.0), one.cause.waits_for_grace, one.since, place.mark

        return sorted(due, key=rank)

    def _is_due(self, place: Place, without_room: frozenset[RoleArn | None]) -> bool:
        if place in self._approved or place not in self.unused.places:
            return False
        may_be_now = self._is_past_grace(place) or self._does_not_wait(place, without_room)
        return may_be_now and self.unused.may_remove(place)

    def _is_past_grace(self, place: Place) -> bool:
        return asyncio.get_running_loop().time() - self.unused.places[place].since >= self._rules.grace

    def _does_not_wait(self, place: Place, without_room: frozenset[RoleArn | None]) -> bool:
        """Whether it is recreated and not selected, or was deleted, witnessed, and gives way to a new subject."""
        if not self.unused.places[place].cause.waits_for_grace:
            return True
        return self.unused.is_deletion_witnessed(place) and self._is_in_the_way(place, without_room)

    def _is_in_the_way(self, place: Place, without_room: frozenset[RoleArn | None]) -> bool:
        if place.associated:
            return self._associations is not None and self._associations.cache.is_full
        return place.role in without_room

    def _without_room(self) -> frozenset[RoleArn | None]:
        """The roles of bindings of which no role has room for one more subject."""
        return frozenset(
            role
            for binding in self._cache.bindings
            if binding.names_subjects and all(self._writers[one].lacks_room for one in binding.roles)
            for role in binding.roles
        )

    def _take_up_what_is_left(self, term: Leadership) -> None:
        """Go on with what the leader before had approved and not written.

        By reads that are too young to be from before its last write; a role that cannot be read keeps only
        its own subjects waiting.
        """
        young = {role for role, one in self._writers.items() if one.read_at > term.began + REMEMBERED}
        if not self._approved and all(role in young or one.needs_a_person for role, one in self._writers.items()):
            term.take_up([one.mark for one in self.unused.places if one.associated or one.role in young])

    def _end(self) -> None:
        """Remove nothing any more: this replica leads no longer."""
        self._approved.clear()
        self._tried = frozenset()
        self._unconfirmed.clear()
        self._show_waiting(0)
        self._stuck.end()
        metrics.removals_pending.set(0)
        self._have_them_removed()

    def _keep_what_is_wanted_again(self, namespace: str) -> None:
        """Take approvals back of what is wanted between two looks, if only for a moment."""
        again = [
            place
            for place in self._approved
            if place.subject.namespace == namespace and self.unused.cause(place) is None
        ]
        for place in again:
            del self._approved[place]
        if again:
            self._have_them_removed()

    def _staying(self) -> int:
        """How many are trusted: without those approved, which count as removed already."""
        leaving = sum(self.unused.is_there(place) for place in self._approved)
        trusted = sum(len(writer.subjects) for writer in self._writers.values())
        return trusted + (len(self._associations.subjects) if self._associations else 0) - leaving

    def _forget_approvals(self) -> None:
        """Take approvals back of what is wanted again, or has been away for longer than a read can be old."""
        now, unused = asyncio.get_running_loop().time(), self.unused.places
        self._approved = {
            place: replace(one, seen=now) if place in unused else one
            for place, one in self._approved.items()
            if place in unused or (now - one.seen < 2 * REMEMBERED and self.unused.may_remove(place))
        }

    async def _confirm(self, due: list[Place]) -> dict[Place, _Confirmed]:
        """Those of `due` that the API server itself, asked now, does not want either, and whose time has come.

        It may know another cause, one that waits for the grace.
        """
        found = await asyncio.gather(*(self._ask(place) for place in due))
        now = asyncio.get_running_loop().time()
        self._unconfirmed = {one: at for one, at in self._unconfirmed.items() if one in self.unused.places}
        self._unconfirmed.update((place, now) for place, one in zip(due, found, strict=True) if one is None)
        without_room = self._without_room()
        return {
            place: one
            for place, one in zip(due, found, strict=True)
            if one is not None and self._is_due(place, without_room) and self._may_go_by(place, one, without_room)
        }

    def _may_go_by(self, place: Place, found: _Confirmed, without_room: frozenset[RoleArn | None]) -> bool:
        """Whether the grace is over, or does not count, by what the API server itself says."""
        gives_way = not found.counts and self._is_in_the_way(place, without_room)
        return self._is_past_grace(place) or gives_way or not found.cause.waits_for_grace

    async def _ask(self, place: Place) -> _Confirmed | None:
        """What the live objects say; None where they still want it, or cannot be read now."""
        async with self._slots:
            try:
                with self._progress.step("pruner", _LONGEST_STEP):
                    namespace, account = await live(self._cluster, self._cache, place.subject)
            except ClusterError as error:
                log.warning("removal_not_confirmed", **_facts(place), reason=str(error))
                return None
        cause = self.unused.cause_by(place, namespace, account)
        if cause is None:
            log.warning("removal_not_confirmed", **_facts(place), reason="the API server itself still wants it")
            return None
        was_deleted = cause.is_deletion and self._cache.former.was_deleted(place.subject.namespace, namespace)
        return _Confirmed(cause, counts=not was_deleted)

    def _approve(self, confirmed: Mapping[Place, _Confirmed]) -> None:
        now = asyncio.get_running_loop().time()
        for place, one in confirmed.items():
            self._approved[place] = _Approved(now, one.counts)
            metrics.removals_approved.labels(one.cause.value).inc()
            log.info("removal_approved", **_facts(place), cause=one.cause.value, witnessed=not one.counts)
            if self._cache.account(place.subject) is not None:
                self._events.note(
                    EventSubject("ServiceAccount", place.subject.namespace, place.subject.service_account),
                    "TrustRemoved",
                    f"{_loss(place)}: {one.cause.sentence}",
                )

    def _have_them_removed(self) -> None:
        for role, writer in self._writers.items():
            writer.leave({one.subject for one in self._approved if one.role == role and not one.associated})
        if self._associations:
            self._associations.approve_removals({place.subject for place in self._approved if place.associated})

    def _show_waiting(self, count: int) -> None:
        metrics.removals_over_limit.set(count)
        if count and count != self._waiting:
            log.error(
                "removals_over_limit",
                waiting=count,
                reason="the limit of an hour allows no more removals, so these wait: see `mxp-identity plan`, and "
                "`mxp-identity apply --approve` if it is right",
            )
        self._waiting = count


def _within(room: int, confirmed: Mapping[Place, _Confirmed]) -> dict[Place, _Confirmed]:
    """What of it the limit allows, in its order."""
    counted = [place for place, one in confirmed.items() if one.counts]
    over = set(counted[room:])
    return {place: one for place, one in confirmed.items() if place not in over}


def _loss(place: Place) -> str:
    if place.associated:
        return f"this ServiceAccount is to be associated with {place.role or 'another role'} no longer"
    return f"{place.role} is to trust this ServiceAccount no longer"


def _facts(place: Place) -> dict[str, str]:
    return {
        "namespace": place.subject.namespace,
        "service_account": place.subject.service_account,
        "role_arn": place.role.value if place.role else "",
    }
