"""Grants: one for each ServiceAccount, in one of its binding's roles, for as long as it takes.

A binding's roles are a pool. A subject tries them in its own fixed order; it stays where it is trusted already,
else where its annotation points, else where there is room first.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from webhook.engine.waiting import Waiting
from webhook.iam.reasons import (
    ANNOTATED_OTHERWISE,
    LEFT_TO_LEADER,
    MOVED,
    NOT_SELECTED,
    all_full,
    unexpected,
)
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.fallback import Need
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.associations import Associations
    from webhook.runtime.pending_grant import PendingGrant

log = structlog.get_logger(__name__)


class Grants:
    """Has subjects trusted, each by one task however many ask; the work goes on after an asker has left."""

    def __init__(self, writers: Mapping[RoleArn, RoleWriter], associations: Associations | None = None) -> None:
        self._writers = writers
        self._associations = associations
        self._pursuits: dict[Subject, _Pursuit] = {}
        self._waiting = Waiting()
        self._closing = False
        clock = asyncio.get_running_loop().time
        metrics.grants_pending.set_function(lambda: len(self._waiting))
        metrics.grant_longest_wait.set_function(lambda: self._waiting.longest(clock()))

    def likely_role(self, grant: Grant) -> RoleArn:
        """The role that the subject gets by what is known now; asks nobody and changes nothing."""
        if known := self.known(grant):
            return known.role
        order = _by_prospect(grant, self._writers)
        return next((role for role in order if self._writers[role].has_room_for(grant.subject)), order[0])

    def known(self, grant: Grant) -> Trusted | None:
        """The trust that is there already, by what is known now; asks nobody."""
        if not grant.binding.edits_trust:
            return Trusted(_order(grant)[0], TrustSource.UNMANAGED)
        if self._associations and grant.binding.associates:
            role = _order(grant)[0]
            proof = self._writers[role].lets_pods_in and self._associations.cache.trust_source(grant.subject, role)
            return Trusted(role, proof, self._writers[role].doubt_of_pods(*_pods_of(grant))) if proof else None
        if grant.annotated and (trust := self._writers[grant.annotated].trusts(grant.subject)):
            return trust  # first in its order, which a pass need not work out
        return next(
            (trust for role in _order(grant) if (trust := self._writers[role].trusts(grant.subject))), None
        )

    async def obtain(self, grant: Grant, seconds: float, need: Need = Need.CERTAIN) -> Outcome:
        """Have the subject trusted; answers after `seconds` at the latest, and the work goes on after that.

        News that waiting will not mend is answered at once. So is LEFT_TO_LEADER, for an association of which
        `need` is not CERTAIN, where this replica does not lead.
        """
        if known := self.known(grant):
            self._waiting.end(grant.subject)
            self._note_reliance(grant, known.role)
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
        # The annotation follows this answer: it names the role under way, or another replica would try a second.
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
            self._waiting.end(grant.subject)
        elif not self._closing and not self._is_expected(grant):
            self._pursue(grant, Need.SOON)
        return known

    def reconsider(self, subject: Subject, grant: Grant | None) -> None:
        """Have what is under way follow the cluster: `grant` is what the watch shows now, None for no binding."""
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
        """Count nobody any more who was refused for good and whom the cluster does not want."""
        self._waiting.end_all_but(wanted | self._pursuits.keys())

    def is_propagated(self, grant: Grant) -> bool:
        """Whether EKS's own webhook has had the time to hear of the subject's association, which works."""
        if self._associations is None or not self._writers[grant.binding.roles[0]].lets_pods_in:
            return False
        return self._associations.cache.is_propagated(grant.subject)

    async def first_looks(self, seconds: float) -> None:
        """Wait until every role's policy has been read once, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(writer.first_look() for writer in self._writers.values()))

    def check(self) -> None:
        """Have every role's policy, and the associations, read again and put right where not what is wanted."""
        for writer in self._writers.values():
            writer.check()
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

    def _note_reliance(self, grant: Grant, role: RoleArn) -> None:
        """Have what was answered as there already outlast a removal that was approved before."""
        if grant.binding.names_subjects:
            self._writers[role].asks(grant.subject)
        elif self._associations and grant.binding.associates:
            self._associations.asks(grant.subject)

    def _pending(self, grant: Grant, reason: str) -> Untrusted:
        return Untrusted(self.likely_role(grant), FailureKind.PENDING, reason)

    def _is_left_to_leader(self, grant: Grant) -> bool:
        return bool(self._associations and grant.binding.associates and not self._associations.leads)

    def _is_expected(self, grant: Grant) -> bool:
        """Whether it is associated by the list, whatever a look at it will show."""
        if not self._associations or not grant.binding.associates:
            return False
        return bool(
            self._writers[grant.binding.roles[0]].lets_pods_in
            and self._associations.cache.is_undescribed(grant.subject)
        )

    def _pursue(self, grant: Grant, need: Need) -> _Pursuit:
        pursuit = self._pursuits.get(grant.subject)
        if pursuit is None:
            pursuit = self._pursuits[grant.subject] = _Pursuit(
                grant, self._writers, self._associations, self._waiting, need
            )
            pursuit.task.add_done_callback(lambda _: self._pursuits.pop(grant.subject, None))
        else:
            pursuit.follow(grant, need)
        return pursuit


class _Pursuit:
    """One subject on its way through its binding's roles."""

    __slots__ = (
        "_associations",
        "_need",
        "_started",
        "_ticket",
        "_waiting",
        "_writers",
        "bad_news",
        "grant",
        "is_dropped",
        "task",
        "tried",
    )

    def __init__(
        self,
        grant: Grant,
        writers: Mapping[RoleArn, RoleWriter],
        associations: Associations | None,
        waiting: Waiting,
        need: Need,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.grant = grant
        self.is_dropped = False
        self._writers = writers
        self._associations = associations
        self._waiting = waiting
        self._need = need
        self._ticket: PendingGrant | None = None
        self.tried: RoleArn | None = None
        self._started = loop.time()
        self._waiting.begin(grant.subject, self._started)
        self.bad_news: asyncio.Future[Outcome] = loop.create_future()
        self.task = loop.create_task(self._run_to_an_outcome(), name=f"grant {grant.subject}")

    @property
    def last_failure(self) -> Untrusted | None:
        if self._ticket:
            return self._ticket.last_failure
        troubles = (self._writers[role].trouble for role in _order(self.grant))
        return next((trouble for trouble in troubles if trouble), None)

    @property
    def role_under_way(self) -> RoleArn | None:
        """The role that is being tried for the binding that selects the subject now."""
        return self.tried if self.tried in self.grant.binding.roles else None

    def follow(self, grant: Grant, need: Need) -> None:
        """Begin again with the binding that selects the subject now, or with the role that its annotation names.

        Too late where another role of that binding is being written: then the subject is trusted there too.
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
        elif self.tried != grant.annotated:
            self._withdraw(ANNOTATED_OTHERWISE)

    def drop(self) -> None:
        """End it: no binding selects the subject any more."""
        self.is_dropped = True
        self._withdraw(NOT_SELECTED)

    def _withdraw(self, reason: str) -> None:
        if self.tried is not None:
            self._writers[self.tried].withdraw(self.grant.subject, reason)
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
            return Untrusted(self.tried or _order(self.grant)[0], failure.kind, str(failure))

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
        """Whether it is trusted as the binding says that selects it now: it was too late to withdraw it."""
        if self.is_dropped or not isinstance(outcome, Trusted) or self.grant.binding.associates:
            return False
        return outcome.role in self.grant.binding.roles

    async def _run_once(self, grant: Grant) -> Outcome:
        roles = grant.binding.roles
        if self._associations and grant.binding.associates:
            return await self._associate(self._associations, grant, roles[0])
        if len(roles) > 1:
            # It may have one role at most, so all are looked at: one of them may trust it already.
            await self._look_at(roles)
        if not self._holds(grant):
            return self._withdrawn(roles[0])
        return await self._try_each(_by_prospect(grant, self._writers))

    async def _look_at(self, roles: tuple[RoleArn, ...]) -> None:
        """Wait for every role's first look. All begin at once; no task for each, as thousands may wait here."""
        for role in roles:
            if not self._writers[role].has_looked:
                self._writers[role].check()
        for role in roles:
            await self._writers[role].first_look(self._hear)
            self._forget_news()

    def _hear(self, failure: Untrusted) -> None:
        """A role cannot be read: news where neither a moment's patience is enough, nor others go on without it."""
        kind = failure.kind
        if not (kind.passes_soon or kind.needs_a_person or self.bad_news.done()):
            self.bad_news.set_result(failure)

    async def _try_each(self, order: tuple[RoleArn, ...]) -> Outcome:
        for role in order:
            outcome = await self._try(role)
            if isinstance(outcome, Trusted) or outcome.kind is not FailureKind.FULL:
                return outcome
        return all_full(_order(self.grant), self.grant.binding.name) if len(order) > 1 else outcome

    async def _associate(self, associations: Associations, grant: Grant, role: RoleArn) -> Outcome:
        """First the role's trust, then the association: EKS takes no role that it may not assume."""
        self.tried = role
        outcome = await self._settled(self._writers[role].submit_pods())
        if isinstance(outcome, Trusted):
            if not self._holds(grant):
                return self._withdrawn(role)
            outcome = await self._settled(associations.submit(grant.subject, role, self._need))
        if isinstance(outcome, Trusted):
            outcome = replace(outcome, doubt=self._writers[role].doubt_of_pods(*_pods_of(grant)))
        return outcome

    async def _try(self, role: RoleArn) -> Outcome:
        self.tried = role
        return await self._settled(self._writers[role].submit(self.grant.subject))

    async def _settled(self, ticket: PendingGrant) -> Outcome:
        self._ticket = ticket
        self._forget_news()
        ticket.bad_news.add_done_callback(self._pass_on)
        return await ticket.settled

    def _forget_news(self) -> None:
        """What was told of an earlier step keeps nobody from waiting for this one."""
        if self.bad_news.done():
            self.bad_news = asyncio.get_running_loop().create_future()

    def _pass_on(self, news: asyncio.Future[Outcome]) -> None:
        if not self.bad_news.done():
            self.bad_news.set_result(news.result())

    def _report(self, outcome: Outcome) -> None:
        seconds = asyncio.get_running_loop().time() - self._started
        facts = {
            "namespace": self.grant.subject.namespace,
            "service_account": self.grant.subject.service_account,
            "role_arn": outcome.role.value,
            "duration_s": round(seconds, 3),
        }
        if isinstance(outcome, Trusted):
            self._waiting.end(self.grant.subject)
            metrics.trust_seconds.observe(seconds)
            if outcome.doubt:
                log.warning("subject_may_be_denied", outcome=outcome.label, reason=outcome.doubt, **facts)
            else:
                log.info("subject_trusted", outcome=outcome.label, **facts)
        elif outcome.kind is FailureKind.LEFT_TO_LEADER:
            self._waiting.end(self.grant.subject)
        else:
            log.warning("subject_not_trusted", outcome=outcome.kind.value, reason=outcome.reason, **facts)


def _pods_of(grant: Grant) -> tuple[str, str]:
    return grant.binding.name, grant.subject.namespace


def _order(grant: Grant) -> tuple[RoleArn, ...]:
    """The binding's roles as this subject tries them: the annotated one first."""
    order = grant.binding.roles_in_order(grant.subject)
    return tuple(sorted(order, key=lambda role: role != grant.annotated))


def _by_prospect(grant: Grant, writers: Mapping[RoleArn, RoleWriter]) -> tuple[RoleArn, ...]:
    """The same order, but who trusts the subject already first, and last who was full lately or needs a person.

    The annotated one stays where it is even then: pods may run with it. All are tried before a subject is refused.
    """

    def rank(role: RoleArn) -> tuple[bool, bool, bool]:
        writer, is_free = writers[role], role != grant.annotated
        is_known_full = is_free and writer.was_full_lately
        return writer.trusts(grant.subject) is None, is_free and writer.needs_a_person, is_known_full

    return tuple(sorted(_order(grant), key=rank))
