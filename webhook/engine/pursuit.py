"""One subject's pursuit of trust: through the roles of its binding, until one trusts it or none can.

A binding's roles are a pool. Each subject has its own fixed order of them (`Grant.roles_in_order`). It keeps the
role that trusts it already. Else it takes the one that its annotation names, else the first one with room
(`best_first`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from webhook.iam.reasons import ANNOTATED_OTHERWISE, MOVED, NOT_SELECTED, all_full, unexpected
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Outcome, Trusted, Untrusted
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.pending import PendingGrant
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn
    from webhook.podidentity.association import Need
    from webhook.podidentity.associations import Associations
    from webhook.runtime.clock import Clock

log = structlog.get_logger(__name__)


class Pursuit:
    """One subject on its way through its binding's roles; `task` ends with the outcome."""

    def __init__(
        self,
        grant: Grant,
        writers: Mapping[RoleArn, RoleWriter],
        associations: Associations | None,
        need: Need,
        clock: Clock,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.grant = grant
        self.is_dropped = False
        self._writers = writers
        self._associations = associations
        self._need = need
        self._clock = clock
        self._started = clock()
        self._pending: PendingGrant | None = None
        self._tried: RoleArn | None = None
        self.bad_news: asyncio.Future[Outcome] = loop.create_future()
        """A failure that waiting does not repair."""
        self.task = loop.create_task(self._run_to_an_outcome(), name=f"grant in {grant.subject.namespace}")

    @property
    def last_failure(self) -> Untrusted | None:
        """What went wrong at the last try: of this subject, or else of one of its roles."""
        if self._pending:
            return self._pending.last_failure
        troubles = (self._writers[role].trouble for role in self.grant.roles_in_order)
        return next((trouble for trouble in troubles if trouble), None)

    @property
    def role_under_way(self) -> RoleArn | None:
        """The role that is being tried for the binding that selects the subject now."""
        return self._tried if self._tried in self.grant.binding.roles else None

    def follow(self, grant: Grant, need: Need) -> None:
        """Begin again with the binding that selects the subject now, or with the role that its annotation names.

        A write that is under way is not stopped: then the subject is trusted in that role too.
        """
        if need > self._need and self._associations and grant.binding.associates:
            self._need = need
            self._associations.needs(grant.subject, need)
        is_same_binding = grant.binding == self.grant.binding and not self.is_dropped
        if is_same_binding and grant.annotated in {None, self.grant.annotated}:
            return
        self.is_dropped = False
        self.grant = replace(grant)
        if not is_same_binding:
            self._withdraw(MOVED)
        elif self._tried != grant.annotated:
            self._withdraw(ANNOTATED_OTHERWISE)

    def drop(self) -> None:
        """End it: no binding selects the subject any more."""
        self.is_dropped = True
        self._withdraw(NOT_SELECTED)

    def _withdraw(self, reason: str) -> None:
        if self._tried is not None:
            self._writers[self._tried].withdraw(self.grant.subject, reason)
        if self._associations:
            self._associations.withdraw(self.grant.subject, reason)

    async def _run_to_an_outcome(self) -> Outcome:
        """Like `_run`, but an error that is a bug is an outcome too: the next pass tries again."""
        try:
            return await self._run()
        except Exception as error:
            log.exception("grant_failed", namespace=self.grant.subject.namespace)
            metrics.unexpected_errors.labels("grants").inc()
            failure = unexpected(error)
            return Untrusted(self._tried or self.grant.roles_in_order[0], failure.kind, str(failure))

    async def _run(self) -> Outcome:
        while True:
            grant = self.grant
            outcome = await self._run_once(grant)
            if grant is self.grant or self._has_come_true(outcome):
                break
        self._report(outcome)
        return outcome

    def _holds(self, grant: Grant) -> bool:
        return grant is self.grant and not self.is_dropped

    def _withdrawn(self, role: RoleArn) -> Untrusted:
        return Untrusted(role, FailureKind.WITHDRAWN, NOT_SELECTED if self.is_dropped else MOVED)

    def _has_come_true(self, outcome: Outcome) -> bool:
        """Whether an outcome of the former binding is right for the one that selects the subject now, too."""
        if self.is_dropped or not isinstance(outcome, Trusted) or self.grant.binding.associates:
            return False
        return outcome.role in self.grant.binding.roles

    async def _run_once(self, grant: Grant) -> Outcome:
        roles = grant.binding.roles
        if self._associations and grant.binding.associates:
            return await self._associate(self._associations, grant, roles[0])
        if len(roles) > 1:
            # It may have one role at most, so all are read: one of them may trust it already.
            await self._wait_until_synced(roles)
        if not self._holds(grant):
            return self._withdrawn(roles[0])
        return await self._try_each(best_first(grant, self._writers))

    async def _wait_until_synced(self, roles: tuple[RoleArn, ...]) -> None:
        """Wait until every role was read. All begin at once; no task for each, as thousands may wait here."""
        for role in roles:
            if not self._writers[role].cache.synced.is_set():
                self._writers[role].enqueue()
        for role in roles:
            await self._writers[role].wait_until_synced(self._note_unreadable)
            self._forget_news()

    def _note_unreadable(self, failure: Untrusted) -> None:
        """Report that a role cannot be read, unless that may pass soon or the other roles are enough."""
        kind = failure.kind
        if not (kind.passes_soon or kind.needs_a_person or self.bad_news.done()):
            self.bad_news.set_result(failure)

    async def _try_each(self, order: tuple[RoleArn, ...]) -> Outcome:
        for role in order:
            self._tried = role
            outcome = await self._settled(self._writers[role].submit(self.grant.subject))
            if isinstance(outcome, Trusted) or outcome.kind is not FailureKind.FULL:
                return outcome
        return all_full(self.grant.roles_in_order, self.grant.binding.name) if len(order) > 1 else outcome

    async def _associate(self, associations: Associations, grant: Grant, role: RoleArn) -> Outcome:
        """Obtain the role's trust first, then the association: EKS accepts no role that it may not assume."""
        self._tried = role
        outcome = await self._settled(self._writers[role].submit_pods())
        if isinstance(outcome, Trusted):
            if not self._holds(grant):
                return self._withdrawn(role)
            outcome = await self._settled(associations.submit(grant.subject, role, self._need))
        if isinstance(outcome, Trusted):
            doubt = self._writers[role].cache.doubt_of_pods(grant.binding.name, grant.subject.namespace)
            outcome = replace(outcome, doubt=doubt)
        return outcome

    async def _settled(self, pending: PendingGrant) -> Outcome:
        self._pending = pending
        self._forget_news()
        pending.bad_news.add_done_callback(self._pass_on)
        return await pending.settled

    def _forget_news(self) -> None:
        """A failure of an earlier step does not end the wait for this one."""
        if self.bad_news.done():
            self.bad_news = asyncio.get_running_loop().create_future()

    def _pass_on(self, news: asyncio.Future[Outcome]) -> None:
        if not self.bad_news.done():
            self.bad_news.set_result(news.result())

    def _report(self, outcome: Outcome) -> None:
        seconds = self._clock() - self._started
        facts = {
            "namespace": self.grant.subject.namespace,
            "service_account": self.grant.subject.service_account,
            "role_arn": outcome.role.value,
            "duration_s": round(seconds, 3),
        }
        if isinstance(outcome, Trusted):
            metrics.trust_seconds.observe(seconds)
            if outcome.doubt:
                log.warning("subject_may_be_denied", outcome=outcome.label, reason=outcome.doubt, **facts)
            else:
                log.info("subject_trusted", outcome=outcome.label, **facts)
        elif outcome.kind is not FailureKind.LEFT_TO_LEADER:
            log.warning("subject_not_trusted", outcome=outcome.kind.value, reason=outcome.reason, **facts)


def best_first(grant: Grant, writers: Mapping[RoleArn, RoleWriter]) -> tuple[RoleArn, ...]:
    """The roles in order, but one that trusts the subject already first, and full ones and those in trouble last.

    The annotated role keeps its place even then: pods may run with it. All are tried before a subject is refused.
    """

    def rank(role: RoleArn) -> tuple[bool, bool, bool]:
        writer, is_free = writers[role], role != grant.annotated
        is_known_full = is_free and writer.cache.is_full
        return writer.cache.trusts(grant.subject) is None, is_free and writer.needs_a_person, is_known_full

    if len(grant.binding.roles) == 1:
        return grant.binding.roles
    return tuple(sorted(grant.roles_in_order, key=rank))
