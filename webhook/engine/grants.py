"""The entrance to trust: each ServiceAccount obtains its grant here, by one pursuit however many ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.engine.pursuit import Pursuit, best_first
from webhook.iam.reasons import LEFT_TO_LEADER, NOT_SELECTED
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import Mode
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.association import Need
from webhook.runtime.clock import loop_clock
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.associations import Associations


class Grants:
    """Has subjects trusted. The work goes on when a review has stopped waiting for it."""

    def __init__(self, writers: Mapping[RoleArn, RoleWriter], associations: Associations | None = None) -> None:
        self._writers = writers
        self._associations = associations
        self._clock = clock = loop_clock()
        self._pursuits: dict[Subject, Pursuit] = {}
        self._since: dict[Subject, float] = {}
        """Since when each subject waits. One that every role has refused waits too, until there is room."""
        self._closing = False
        self._on_trusted: list[Callable[[Subject], None]] = []
        metrics.grants_pending.set_function(lambda: len(self._since))
        metrics.grant_longest_wait.set_function(lambda: (now := clock()) - min(self._since.values(), default=now))

    def on_trusted(self, listener: Callable[[Subject], None]) -> None:
        """Call `listener` each time that a subject came to be trusted."""
        self._on_trusted.append(listener)

    def likely_role(self, grant: Grant) -> RoleArn:
        """The role that the subject gets by what is known now; makes no call and changes nothing."""
        if known := self.known(grant):
            return known.role
        order = best_first(grant, self._writers)
        return next((role for role in order if self._writers[role].has_room_for(grant.subject)), order[0])

    def known(self, grant: Grant) -> Trusted | None:
        """The trust that is there already, by what is known now; makes no call."""
        if grant.binding.mode is Mode.ANNOTATE:
            return Trusted(grant.roles_in_order[0], TrustSource.UNMANAGED)
        if self._associations and grant.binding.associates:
            role = grant.binding.roles[0]
            cache = self._writers[role].cache
            source = cache.pods and self._associations.cache.trust_source(grant.subject, role)
            doubt = cache.doubt_of_pods(grant.binding.name, grant.subject.namespace) if source else ""
            return Trusted(role, source, doubt) if source else None
        if grant.annotated and (trust := self._writers[grant.annotated].cache.trusts(grant.subject)):
            return trust  # first in its order, which a pass need not work out
        for role in grant.roles_in_order:
            if trust := self._writers[role].cache.trusts(grant.subject):
                return trust
        return None

    async def obtain(self, grant: Grant, seconds: float, need: Need = Need.CERTAIN) -> Outcome:
        """Have the subject trusted. Answers after `seconds` at the latest; the work goes on after that.

        A failure that waiting does not repair is answered at once. So is LEFT_TO_LEADER: for an association whose
        `need` is not CERTAIN, where this replica does not lead.
        """
        if known := self.known(grant):
            self._since.pop(grant.subject, None)
            self._defer_removal(grant, known.role)
            return known
        if self._closing:
            return self._pending(grant, "this replica is shutting down, the others go on")
        if need is not Need.CERTAIN and self._is_left_to_leader(grant):
            return Untrusted(self.likely_role(grant), FailureKind.LEFT_TO_LEADER, LEFT_TO_LEADER)
        pursuit = self._pursue(grant, need)
        await asyncio.wait(
            [pursuit.task, pursuit.bad_news], timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED
        )
        if pursuit.task.done() and not pursuit.task.cancelled():
            return pursuit.task.result()
        reason = f"AWS has not answered within {seconds:.1f} s" if seconds > 0 else "AWS was not waited for"
        # The annotation follows this answer. It has to name the role under way: other replicas try that one.
        role = pursuit.role_under_way or self.likely_role(pursuit.grant)
        if pursuit.is_dropped:
            return Untrusted(role, FailureKind.WITHDRAWN, NOT_SELECTED)
        return replace(pursuit.last_failure or Untrusted(role, FailureKind.PENDING, reason), role=role)

    def start(self, grant: Grant) -> Trusted | None:
        """Have the subject trusted in the background; answers the trust that is there already.

        An association is left to the replica that leads.
        """
        known = self.known(grant)
        if known or self._is_left_to_leader(grant):
            self._since.pop(grant.subject, None)
        elif not self._closing and not self._is_expected(grant):
            self._pursue(grant, Need.SOON)
        return known

    def reconsider(self, subject: Subject, grant: Grant | None) -> None:
        """Have a pursuit follow the cluster. `grant` is what the watch shows now, None for no binding."""
        if pursuit := self._pursuits.get(subject):
            if grant is None:
                pursuit.drop()
            else:
                pursuit.follow(grant, Need.SOON)

    @property
    def namespaces_under_way(self) -> set[str]:
        """The namespaces of subjects that were asked for and are not trusted yet."""
        return {subject.namespace for subject in self._pursuits}

    def forget_refused(self, wanted: set[Subject]) -> None:
        """Stop counting as waiting what was refused and is not in `wanted`."""
        kept = wanted | self._pursuits.keys()
        self._since = {subject: at for subject, at in self._since.items() if subject in kept}

    def is_propagated(self, grant: Grant) -> bool:
        """Whether the subject's association works, and has had the time to reach EKS's own webhook."""
        if self._associations is None or not self._writers[grant.binding.roles[0]].cache.pods:
            return False
        return self._associations.cache.is_propagated(grant.subject)

    def has_identity(self, grant: Grant) -> bool:
        """Whether the ServiceAccount has its identity, so that a new pod of it gets one that works. Makes no call.

        It has where it is annotated and the role that the annotation names is known to trust it. In mode
        pod-identity it has once its association is propagated.
        """
        if grant.binding.associates:
            return self.is_propagated(grant)
        known = self.known(grant)
        return known is not None and known.role == grant.annotated

    async def wait_until_synced(self, seconds: float) -> None:
        """Wait until every role's policy has been read once, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(writer.wait_until_synced() for writer in self._writers.values()))

    def enqueue(self) -> None:
        """Have every role's policy, and the associations, read again, and repaired where they are wrong."""
        for writer in self._writers.values():
            writer.enqueue()
        if self._associations:
            self._associations.enqueue()

    async def close(self) -> None:
        """Start nothing more and wait for the writes under way."""
        self._closing = True
        for pursuit in self._pursuits.values():
            pursuit.task.cancel()
        await asyncio.gather(*(writer.close() for writer in self._writers.values()))
        if self._associations:
            await self._associations.close()

    def _defer_removal(self, grant: Grant, role: RoleArn) -> None:
        """Have an approved removal wait for a minute: the review was just answered that the trust is there."""
        if grant.binding.names_subjects:
            self._writers[role].defer_removal(grant.subject)
        elif self._associations and grant.binding.associates:
            self._associations.defer_removal(grant.subject)

    def _pending(self, grant: Grant, reason: str) -> Untrusted:
        return Untrusted(self.likely_role(grant), FailureKind.PENDING, reason)

    def _is_left_to_leader(self, grant: Grant) -> bool:
        return bool(self._associations and grant.binding.associates and not self._associations.leads)

    def _is_expected(self, grant: Grant) -> bool:
        """Whether the list shows an association of it that was not described yet."""
        if not self._associations or not grant.binding.associates:
            return False
        return bool(
            self._writers[grant.binding.roles[0]].cache.pods
            and self._associations.cache.is_undescribed(grant.subject)
        )

    def _pursue(self, grant: Grant, need: Need) -> Pursuit:
        if pursuit := self._pursuits.get(grant.subject):
            pursuit.follow(grant, need)
            return pursuit
        self._since.setdefault(grant.subject, self._clock())
        pursuit = Pursuit(grant, self._writers, self._associations, need, self._clock)
        self._pursuits[grant.subject] = pursuit
        pursuit.task.add_done_callback(lambda task: self._ended(grant.subject, task))
        return pursuit

    def _ended(self, subject: Subject, task: asyncio.Task[Outcome]) -> None:
        self._pursuits.pop(subject, None)
        outcome = None if task.cancelled() else task.result()
        if isinstance(outcome, Trusted) or (outcome and outcome.kind is FailureKind.LEFT_TO_LEADER):
            self._since.pop(subject, None)
        if isinstance(outcome, Trusted):
            for listener in self._on_trusted:
                listener(subject)
