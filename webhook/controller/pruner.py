"""The pruner: unused trust is removed, after the grace, at the limit's rate, and after one more read.

Only the leader prunes. A watch can be wrong for a while (an API server that lost its data, a list cut short), and
so can a label or a binding. So there are three guards:

- Trust must have been unused for the grace.
- Only so much is removed within an hour.
- Each removal is confirmed by a read of the live namespace and ServiceAccount right before.

A deletion of the namespace that this replica's watch has witnessed is no mistake. Its removal does not count
against the limit. Where a new subject finds no room, it does not wait for the grace either.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.controller.approved_removals import ApprovedRemovals, ConfirmedRemoval
from webhook.controller.live_reads import read_live
from webhook.controller.unused import StuckNamespaces, UnusedTrust
from webhook.coordination.lock import REMEMBERED
from webhook.model.errors import ClusterError
from webhook.runtime.clock import wait_for
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.desired_state import DesiredState
    from webhook.controller.leader_election import Leadership
    from webhook.controller.ports import Cluster
    from webhook.controller.unused import Entry
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.names import RoleArn
    from webhook.model.removal import PruneRules
    from webhook.podidentity.associations import Associations
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_AT_ONCE = 8
"""Removals confirmed at the same time."""

_LONGEST_STEP = 300.0
"""Seconds of a few calls that wait for their turn."""

_LONGEST_PAUSE = 30.0
"""Seconds from one round to the next at most; removals whose grace ends meanwhile share a write."""

_SHORTEST_PAUSE = 0.2

_MOMENT = 2.0
"""Seconds until the pruner sees that a new subject finds no room."""


class Pruner:
    """Removes what is unused while this replica leads. `unused` is kept by every replica.

    `made_room` is called once removals are under way that make room for new subjects: these may be tried again.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a program that it works with
        self,
        cache: ClusterCache,
        writers: Mapping[RoleArn, RoleWriter],
        desired: DesiredState,
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
        self._rules = rules
        self._associations = associations
        self._progress = progress or Progress()
        self._made_room = made_room
        self._clock = cache.clock
        self.unused = UnusedTrust(cache, writers, desired, associations)
        self._approved = ApprovedRemovals(cache, self.unused, writers, associations, events)
        self._tried: frozenset[Entry] = frozenset()
        """Those that were due in the last round."""
        self._unconfirmed: dict[Entry, float] = {}
        """When the API server last did not confirm the removal, of those that are still unused."""
        self._waiting = 0
        self._stuck = StuckNamespaces(cache, self.unused)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._show_waiting(0)

    async def run(self, leadership: Leadership, interval: float) -> None:
        """Prune until cancelled: every `interval` seconds at least, and within seconds what does not wait."""
        await self._cache.wait_until_synced()
        try:
            while True:
                if await run_and_log("prune_failed", self.once(leadership), "leader"):
                    metrics.prune_last_success.set_to_current_time()
                await self._wait(min(interval, _LONGEST_PAUSE))
        finally:
            self._end()

    async def once(self, leadership: Leadership) -> None:
        """Find all that is unused, and remove what may be removed now.

        Raises ClusterError: the watch is out of touch, or, as NotLeadingError, another replica leads.
        """
        if not self._cache.in_touch:
            raise ClusterError("the watch is out of touch with the API server, so what is unused is not known")
        await self.unused.refresh()
        self._approved.refresh()
        self._adopt(leadership)
        leadership.removing = tuple(entry.digest for entry in self._approved.counted())
        leadership.witnessed = tuple(
            one.digest for one in self.unused.entries if self.unused.is_deletion_witnessed(one)
        )
        without_room = self._without_room()
        due = self._due(without_room)
        self._tried = frozenset(due)
        free = [entry for entry in due if self.unused.is_deletion_witnessed(entry)]
        counted = [entry for entry in due if not self.unused.is_deletion_witnessed(entry)]
        room = self._rules.left(self._approved.staying(), leadership.removed_within_the_hour())
        self._show_waiting(max(len(counted) - room, 0))
        confirmed = _within(room, await self._confirm([*free, *counted[:room]]))
        if confirmed:
            new = sum(one.counts for one in confirmed.values())
            counting = [*self._approved.counted(), *(one for one, found in confirmed.items() if found.counts)]
            with self._progress.step("pruner", _LONGEST_STEP):
                await leadership.record_removals(
                    new, {one.digest for one in counting if one in self.unused.entries}
                )
            self._approved.approve({one: found for one, found in confirmed.items() if one in self.unused.entries})
        metrics.removals_pending.set(len(self.unused.entries))
        self._stuck.show()
        self._approved.publish()
        if any(self._is_in_the_way(entry, without_room) for entry in confirmed):
            self._made_room()

    async def _wait(self, seconds: float) -> None:
        """Wait for so many seconds, or until there is something that does not wait for the grace."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        left = seconds - _SHORTEST_PAUSE
        while left > 0 and not self._has_urgent():
            self.unused.urgent.clear()
            await wait_for(self.unused.urgent, min(_MOMENT, left))
            left -= _MOMENT

    def _has_urgent(self) -> bool:
        """Whether there is a removal that does not wait for the grace and that the last round did not try."""
        roles = self._without_room()
        return self._cache.in_touch and any(
            entry not in self._tried and self._is_due(entry, roles) and self._does_not_wait(entry, roles)
            for entry in self.unused.entries
        )

    def _due(self, without_room: frozenset[RoleArn | None]) -> list[Entry]:
        """What is past its grace or does not wait for it, in the order in which the limit is used.

        First come recreated namespaces that are not selected: the new ones inherit no trust. Then come the others,
        the longest unused first. What could not be confirmed comes last, so that it does not delay the others.
        """
        due = [entry for entry in self.unused.entries if self._is_due(entry, without_room)]

        def rank(entry: Entry) -> tuple[float, bool, float, str]:
            one = self.unused.entries[entry]
            return self._unconfirmed.get(entry, 0.0), one.reason.waits_for_grace, one.since, entry.digest

        return sorted(due, key=rank)

    def _is_due(self, entry: Entry, without_room: frozenset[RoleArn | None]) -> bool:
        if entry in self._approved or entry not in self.unused.entries:
            return False
        may_be_now = self._is_past_grace(entry) or self._does_not_wait(entry, without_room)
        return may_be_now and self.unused.may_remove(entry)

    def _is_past_grace(self, entry: Entry) -> bool:
        return self._clock() - self.unused.entries[entry].since >= self._rules.grace

    def _does_not_wait(self, entry: Entry, without_room: frozenset[RoleArn | None]) -> bool:
        """Whether it need not wait for the grace: its namespace was replaced, or witnessed gone and in the way."""
        if not self.unused.entries[entry].reason.waits_for_grace:
            return True
        return self.unused.is_deletion_witnessed(entry) and self._is_in_the_way(entry, without_room)

    def _is_in_the_way(self, entry: Entry, without_room: frozenset[RoleArn | None]) -> bool:
        if entry.associated:
            return self._associations is not None and self._associations.cache.is_full
        return entry.role in without_room

    def _without_room(self) -> frozenset[RoleArn | None]:
        """The roles of bindings of which no role has room for one more subject."""
        return frozenset(
            role
            for binding in self._cache.bindings
            if binding.names_subjects and all(self._writers[one].lacks_room for one in binding.roles)
            for role in binding.roles
        )

    def _adopt(self, leadership: Leadership) -> None:
        """Take back from the count what the leader before had approved and not written.

        It needs reads that are so young that they show that leader's last write. A role that cannot be read
        delays only its own subjects.
        """
        young = {role for role, one in self._writers.items() if one.cache.read_at > leadership.began + REMEMBERED}
        if self._approved.is_empty and all(
            role in young or one.needs_a_person for role, one in self._writers.items()
        ):
            leadership.adopt([one.digest for one in self.unused.entries if one.associated or one.role in young])

    def _end(self) -> None:
        """End all removals: this replica no longer leads."""
        self._approved.withdraw_all()
        self._tried = frozenset()
        self._unconfirmed.clear()
        self._show_waiting(0)
        self._stuck.end()
        metrics.removals_pending.set(0)

    async def _confirm(self, due: list[Entry]) -> dict[Entry, ConfirmedRemoval]:
        """Those of `due` that the live objects show as unused too, for a reason that allows the removal now.

        It may be another reason than the watch shows, one that waits for the grace.
        """
        found = await asyncio.gather(*(self._ask(entry) for entry in due))
        now = self._clock()
        self._unconfirmed = {one: at for one, at in self._unconfirmed.items() if one in self.unused.entries}
        self._unconfirmed.update((entry, now) for entry, one in zip(due, found, strict=True) if one is None)
        without_room = self._without_room()
        return {
            entry: one
            for entry, one in zip(due, found, strict=True)
            if one is not None and self._is_due(entry, without_room) and self._allows(entry, one, without_room)
        }

    def _allows(self, entry: Entry, found: ConfirmedRemoval, without_room: frozenset[RoleArn | None]) -> bool:
        """Whether the grace is over, or does not count, by what the live objects show."""
        gives_way = not found.counts and self._is_in_the_way(entry, without_room)
        return self._is_past_grace(entry) or gives_way or not found.reason.waits_for_grace

    async def _ask(self, entry: Entry) -> ConfirmedRemoval | None:
        """The removal as the live objects show it; None where a binding wants the subject, or the read fails."""
        async with self._slots:
            try:
                with self._progress.step("pruner", _LONGEST_STEP):
                    live = await read_live(self._cluster, self._cache, entry.subject)
            except ClusterError as error:
                log.warning("removal_not_confirmed", **entry.facts, reason=str(error))
                return None
        reason = self.unused.reason(entry, live)
        if reason is None:
            log.warning("removal_not_confirmed", **entry.facts, reason="the API server itself still wants it")
            return None
        was_deleted = reason.is_deletion and self._cache.former.was_deleted(entry.subject.namespace, live[0])
        return ConfirmedRemoval(reason, counts=not was_deleted)

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


def _within(room: int, confirmed: Mapping[Entry, ConfirmedRemoval]) -> dict[Entry, ConfirmedRemoval]:
    """Those that the limit allows, the first ones; what does not count is always allowed."""
    counted = [entry for entry, one in confirmed.items() if one.counts]
    over = set(counted[room:])
    return {entry: one for entry, one in confirmed.items() if entry not in over}
