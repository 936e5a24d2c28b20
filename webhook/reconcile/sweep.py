"""The sweep: who is trusted and not wanted any more leaves, late, few at once, and after one more look.

Only the leader sweeps. A watch can be wrong for a while (an API server that lost its data, a list cut short), so a
subject must be seen unwanted for the grace; of a sweep larger than the hour's limit only namespaces made anew lose
their trust before a person has approved it; and each removal is confirmed by a read of the live namespace and
ServiceAccount right before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.domain.errors import ClusterError
from webhook.domain.removal import Cause
from webhook.reconcile.live import live
from webhook.reconcile.survival import survive
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress
from webhook.trust.leases import mark
from webhook.trust.recent import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.domain.decisions import Account, LiveNamespace
    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.sweep import SweepRules
    from webhook.reconcile.leadership import Term
    from webhook.reconcile.ports import Cluster
    from webhook.reconcile.view import ClusterView
    from webhook.telemetry.events import Events
    from webhook.trust.associations import Associations
    from webhook.trust.demand import OneRoleEach
    from webhook.trust.writer import RoleWriter

log = structlog.get_logger(__name__)

_AT_ONCE = 8
"""Removals confirmed at the same time."""

_LONGEST_STEP = 300.0
"""Seconds of a few calls that wait for their turn."""

_YIELD_EVERY = 200
"""Subjects looked at before the loop may answer reviews again."""


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


class Sweep:
    """What the leader remembers of those who are to leave.

    A new leader begins anew. Times are seconds on the event loop's clock.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a program that it works with
        self,
        view: ClusterView,
        writers: Mapping[RoleArn, RoleWriter],
        demand: OneRoleEach,
        cluster: Cluster,
        events: Events,
        rules: SweepRules,
        associations: Associations | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._view = view
        self._writers = writers
        self._demand = demand
        self._cluster = cluster
        self._events = events
        self._rules = rules
        self._associations = associations
        self._progress = progress or Progress()
        self._first_seen: dict[Place, float] = {}
        self._places: defaultdict[str, set[Place]] = defaultdict(set)
        self._approved: dict[Place, float] = {}
        self._refused = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._show_refused(0)
        for cause in Cause:  # samples from the start, so that a rate sees the first
            metrics.removals_approved.labels(cause.value)
        view.on_change(self._forget_who_is_wanted_again)

    async def run(self, term: Term, interval: float) -> None:
        """Sweep every `interval` seconds until cancelled."""
        await self._view.wait_until_synced()
        try:
            while True:
                if await survive("sweep_failed", self.once(term), "leader"):
                    metrics.sweep_last_success.set_to_current_time()
                await asyncio.sleep(interval)
        finally:
            self._end()

    async def once(self, term: Term) -> None:
        """Look at everybody who is trusted, and have those leave whose time has come.

        Raises ClusterError: the watch cannot be relied on, or, as NotLeadingError, another replica leads by now.
        """
        if not self._view.in_touch:
            raise ClusterError("the watch is out of touch with the API server, so nobody knows who is wanted")
        unwanted = await self._unwanted()
        now = asyncio.get_running_loop().time()
        self._first_seen = {place: self._first_seen.get(place, now) for place in unwanted}
        self._forget_approvals(unwanted, now)
        self._remember_places()
        self._take_up_what_is_left(term, unwanted)
        due = [place for place, cause in unwanted.items() if self._is_due(place, cause, now)]
        room = self._rules.left(self._staying(), term.removed_within_the_hour())
        if len(due) > room:
            self._show_refused(len(due), room)
            # Somebody else may have made these namespaces: they do not keep a trust until a person comes.
            due = [place for place in due if not unwanted[place].waits_for_grace][:room]
        else:
            self._show_refused(0)
        confirmed = await self._confirm(due)
        if confirmed:
            leaving = {one.mark for one in [*self._approved, *confirmed] if one in unwanted}
            with self._progress.step("sweep", _LONGEST_STEP):
                await term.record_removals(len(confirmed), leaving)
            self._approve({place: cause for place, cause in confirmed.items() if place in self._first_seen})
        metrics.removals_pending.set(len(unwanted))
        self._have_them_leave()

    def _take_up_what_is_left(self, term: Term, unwanted: Mapping[Place, Cause]) -> None:
        """Go on with what the leader before had approved and not written.

        By reads that are too young to be from before its last write; a role that cannot be read keeps nobody
        waiting but its own.
        """
        young = {role for role, one in self._writers.items() if one.read_at > term.began + REMEMBERED}
        if not self._approved and all(role in young or one.needs_a_person for role, one in self._writers.items()):
            term.take_up([place.mark for place in unwanted if place.associated or place.role in young])

    def _end(self) -> None:
        """Remove nobody any more: this replica leads no longer."""
        self._approved.clear()
        self._first_seen.clear()
        self._remember_places()
        self._show_refused(0)
        metrics.removals_pending.set(0)
        self._have_them_leave()

    def _remember_places(self) -> None:
        self._places.clear()
        for place in self._first_seen.keys() | self._approved.keys():
            self._places[place.subject.namespace].add(place)

    def _forget_who_is_wanted_again(self, namespace: str) -> None:
        """Have whoever is wanted between two sweeps, if only for a moment, wait for the whole grace anew."""
        for place in self._places.get(namespace, ()):
            seen = self._view.cached(namespace), self._view.account(place.subject)
            if self._cause_by(place, *seen) is None:
                self._first_seen.pop(place, None)
                if self._approved.pop(place, None) is not None:
                    self._have_them_leave()

    async def _unwanted(self) -> dict[Place, Cause]:
        found: dict[Place, Cause] = {}
        for role, writer in self._writers.items():
            for number, subject in enumerate(writer.subjects):
                if number % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                if (cause := self._demand.cause_to_leave(role, subject)) is not None:
                    found[Place(role, subject)] = cause
        for number, (subject, given) in enumerate(self._associated().items()):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            seen = self._view.cached(subject.namespace), self._view.account(subject)
            if (cause := self._view.cause_to_dissociate(given, subject, *seen)) is not None:
                found[Place(given, subject, associated=True)] = cause
        return found

    def _associated(self) -> Mapping[Subject, RoleArn | None]:
        return self._associations.subjects if self._associations else {}

    def _staying(self) -> int:
        """How many are trusted: without those approved, who count as removed already."""
        leaving = sum(self._is_there(place) for place in self._approved)
        trusted = sum(len(writer.subjects) for writer in self._writers.values())
        return trusted + len(self._associated()) - leaving

    def _is_there(self, place: Place) -> bool:
        if place.associated or place.role is None:
            return place.subject in self._associated()
        return place.subject in self._writers[place.role].subjects

    def _may_leave(self, place: Place) -> bool:
        if place.associated or place.role is None:
            return self._view.may_dissociate(place.subject, place.role)
        return self._demand.may_leave(place.role, place.subject)

    def _is_due(self, place: Place, cause: Cause, now: float) -> bool:
        if place in self._approved or not self._may_leave(place):
            return False
        return not cause.waits_for_grace or now - self._first_seen.get(place, now) >= self._rules.grace

    def _forget_approvals(self, unwanted: Mapping[Place, Cause], now: float) -> None:
        """Take approvals back from whoever is wanted again, or has been away for longer than a read can be old."""
        self._approved = {
            place: now if place in unwanted else seen
            for place, seen in self._approved.items()
            if place in unwanted or (now - seen < 2 * REMEMBERED and self._may_leave(place))
        }

    async def _confirm(self, due: list[Place]) -> dict[Place, Cause]:
        """Those of `due` whom the API server itself, asked now, does not want either, and whose time has come.

        It may know another cause by now, one that waits for the grace.
        """
        causes = await asyncio.gather(*(self._ask(place) for place in due))
        now = asyncio.get_running_loop().time()
        return {
            place: cause
            for place, cause in zip(due, causes, strict=True)
            if cause is not None and self._is_due(place, cause, now)
        }

    async def _ask(self, place: Place) -> Cause | None:
        """The cause by the live objects; None where there is none, or they cannot be read now."""
        async with self._slots:
            try:
                with self._progress.step("sweep", _LONGEST_STEP):
                    namespace, account = await live(self._cluster, self._view, place.subject)
            except ClusterError as error:
                log.warning("removal_not_confirmed", **_facts(place), reason=str(error))
                return None
        cause = self._cause_by(place, namespace, account)
        if cause is None:
            log.warning("removal_not_confirmed", **_facts(place), reason="the API server itself still wants it")
        return cause

    def _cause_by(self, place: Place, namespace: LiveNamespace | None, account: Account | None) -> Cause | None:
        if place.associated or place.role is None:
            return self._view.cause_to_dissociate(place.role, place.subject, namespace, account)
        return self._demand.cause_by(place.role, place.subject, namespace, account)

    def _approve(self, confirmed: Mapping[Place, Cause]) -> None:
        now = asyncio.get_running_loop().time()
        for place, cause in confirmed.items():
            self._approved[place] = now
            metrics.removals_approved.labels(cause.value).inc()
            log.info("removal_approved", **_facts(place), cause=cause.value)
            if self._view.account(place.subject) is not None:
                self._events.note(
                    EventSubject("ServiceAccount", place.subject.namespace, place.subject.service_account),
                    "TrustRemoved",
                    f"{_loss(place)}: {cause.sentence}",
                )

    def _have_them_leave(self) -> None:
        for role, writer in self._writers.items():
            writer.leave({one.subject for one in self._approved if one.role == role and not one.associated})
        if self._associations:
            self._associations.leave({place.subject for place in self._approved if place.associated})

    def _show_refused(self, count: int, room: int = 0) -> None:
        metrics.sweep_refused.set(count)
        if count and count != self._refused:
            log.error(
                "sweep_refused",
                removals=count,
                allowed=room,
                reason="more would be removed than the limit of an hour allows, so nobody is: see `mxp-identity "
                "plan`, and `mxp-identity apply --approve` if it is right",
            )
        self._refused = count


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
