"""Associations: one for each ServiceAccount of a binding in mode pod-identity, for as long as it takes.

The whole cluster is listed with each pass. The list has neither roles nor tags, so beside it the leader describes
some with each pass, those seen longest ago first: what somebody changed by hand is found when its turn comes.
`makers` says which replica makes what is missing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.iam.pending_removals import PendingRemovals
from webhook.iam.reasons import LEFT_TO_LEADER, NAMESPACE_REPLACED, NOT_CERTAIN, unexpected
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.association import QUOTA, Step, judge
from webhook.podidentity.association_cache import AssociationCache
from webhook.podidentity.gauges import AssociationGauges
from webhook.podidentity.makers import FIRST_LOOK, LEADERS_TIME, LeftOut, Need
from webhook.podidentity.ports import AssociationInUseError
from webhook.runtime.backoff import pause_after
from webhook.runtime.pending_grant import PendingGrant
from webhook.runtime.rate_limiter import RateLimiter
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association, Ownership
    from webhook.podidentity.ports import AssociationApi

log = structlog.get_logger(__name__)

CALLS_PER_SECOND = 20.0
"""To begin with: EKS publishes no rate for these calls."""

_CEILING = 100.0
PARALLEL = 8

_LONGEST_TURN = 900.0
"""Seconds: a list of all 5,000 is fifty calls of some seconds each, anything else is a few."""

_ALWAYS = float("-inf")

LOOKED_AT_PER_PASS = 100
"""Associations that are described anew with each pass: 5,000 within 50 passes."""


@dataclass(slots=True)
class _Work:
    """A subject on its way to its association."""

    role: RoleArn
    ticket: PendingGrant
    need: Need
    task: asyncio.Task[None] | None = None


class Associations:
    """Has subjects associated with roles, each by one task however many ask.

    It makes, mends and deletes what carries our tags, and nothing else. Four questions are answered without a
    call: `wanted`, who is to be associated with which role; `may_leave`, whether nobody wants a subject with it;
    `is_another`, whether its namespace was made anew since it was asked for, and no binding selects it; `may_add`,
    whether what is known of its namespace is fresh enough to make one. `leads_since` answers since when this
    replica leads, on the event loop's clock, or None; a command leads always.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it calls and what it asks
        self,
        api: AssociationApi,
        owner: Ownership,
        wanted: Callable[[], Mapping[Subject, RoleArn]],
        may_leave: Callable[[Subject, RoleArn | None], bool],
        is_another: Callable[[Subject], bool],
        may_add: Callable[[Subject], bool],
        leads_since: Callable[[], float | None] = lambda: _ALWAYS,
        progress: Progress | None = None,
    ) -> None:
        self._api = api
        self._owner = owner
        self._wanted = wanted
        self._is_another = is_another
        self._may_add = may_add
        self._limiter = RateLimiter("eks", CALLS_PER_SECOND, _CEILING, PARALLEL)
        self._leads_since = leads_since
        self._seen = AssociationCache(owner)
        self._work: dict[Subject, _Work] = {}
        self._list: asyncio.Task[None] | None = None
        """The first one, or the first since this replica leads."""
        self._list_began = _ALWAYS
        self._has_list = False
        self._left_out = LeftOut()
        self._missing: set[Subject] = set()
        """By the last list that this replica read as the leader."""
        self._checking: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._departures = PendingRemovals(lambda subject: may_leave(subject, self.subjects.get(subject)))
        self._deleting: dict[Subject, asyncio.Event] = {}
        self._gauges = AssociationGauges()
        self._progress = progress or Progress()
        self._closing = False

    # What is known without asking AWS

    def knows(self, subject: Subject, role: RoleArn) -> TrustSource | None:
        """How `subject` is known to be associated with `role`, or None; no call is made.

        None too while it is being deleted: who asks then has it made again.
        """
        return None if subject in self._deleting else self._seen.knows(subject, role)

    def expects(self, subject: Subject) -> bool:
        """Whether it is listed as nobody else's and was not described yet: the next passes look at it in turn."""
        return subject not in self._deleting and self._seen.expects(subject)

    def is_propagated(self, subject: Subject) -> bool:
        """Whether EKS's own webhook has had the time to hear of an association that we made or changed."""
        return self._seen.is_propagated(subject)

    @property
    def leads(self) -> bool:
        """Whether this replica makes what is missing; another one only what needs to be certain."""
        return self._leads_since() is not None

    @property
    def subjects(self) -> Mapping[Subject, RoleArn | None]:
        """Whose association is ours, and with which role, as last seen or made; none before the first look.

        None for a role that no binding can name.
        """
        return self._seen.ours

    @property
    def lacks_room(self) -> bool:
        """Whether the cluster has as many associations as EKS allows, by the last list and what was made since."""
        return self._seen.count >= QUOTA

    # Asking for an association, and taking one away

    def submit(self, subject: Subject, role: RoleArn, need: Need = Need.CERTAIN) -> PendingGrant:
        """Have `subject` associated with `role`; those who ask for the same subject share one ticket.

        The greatest need counts. The ticket settles as LEFT_TO_LEADER where that is not enough, because this
        replica does not lead.
        """
        work = self._work.get(subject)
        self.asks(subject)
        if work is not None:
            work.need = max(work.need, need)
        else:
            work = self._work[subject] = _Work(role, PendingGrant(), need)
            name = f"associate {subject}"
            work.task = asyncio.get_running_loop().create_task(self._pursue(subject, work), name=name)
        return work.ticket

    def asks(self, subject: Subject) -> None:
        """A review relies on the association of `subject`: an approved removal waits for a minute."""
        self._departures.defer(subject, asyncio.get_running_loop().time())

    def needs(self, subject: Subject, need: Need) -> None:
        """Have what is under way for `subject` be done with a greater need."""
        if (work := self._work.get(subject)) is not None:
            work.need = max(work.need, need)

    def withdraw(self, subject: Subject, reason: str) -> None:
        """Ask for `subject` no longer: its ticket settles as WITHDRAWN. A call under way may still be done."""
        work = self._work.pop(subject, None)
        if work and work.task:
            work.task.cancel()
            work.ticket.settle(Untrusted(work.role, FailureKind.WITHDRAWN, reason))

    def leave(self, subjects: Collection[Subject]) -> None:
        """Have exactly these lose their association, as long as nobody wants them, until this is called again."""
        self._departures.approve(subjects, self._work.keys(), asyncio.get_running_loop().time())
        if self._closing or self._departures.approved.isdisjoint(self.subjects):
            return
        if self._leaving is None or self._leaving.done():
            self._leaving = asyncio.get_running_loop().create_task(self._let_leave(), name="remove associations")

    async def first_list(self) -> None:
        """Wait until the list was read once. Raises AwsError."""
        await self._listed()

    async def remove(self, subject: Subject) -> bool:
        """Delete the subject's association where it is ours; answers whether one was deleted.

        For whoever has decided so, once the list was read. Whoever waits for the subject hears that it is
        WITHDRAWN. Raises AwsError.
        """
        self.withdraw(subject, "its association is being taken away")
        return await self._remove(subject, lambda _: True)

    def check(self) -> None:
        """Read the whole list again soon, and make what is missing: as the leader all, else what is left out."""
        if not self._closing and (self._checking is None or self._checking.done()):
            self._checking = asyncio.get_running_loop().create_task(self._check(), name="check associations")

    async def close(self) -> None:
        """Start nothing more. A call under way ends by its own timeouts; the next start finds what it did."""
        self._closing = True
        running = [self._list, self._checking, self._leaving, *(work.task for work in self._work.values())]
        tasks = [task for task in running if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # One subject

    async def _let_leave(self) -> None:
        """Remove those approved, each after one more look at whether it is wanted."""
        for subject in sorted(self._departures.approved & self.subjects.keys()):
            if not self._leaves(subject):
                continue
            try:
                await self._remove(subject, self._leaves)
            except AwsError as error:
                outcome, reason = error.kind.value, str(error)
                log.warning("association_not_deleted", outcome=outcome, reason=reason, **_facts(subject))
            except Exception:
                log.exception("association_not_deleted", **_facts(subject))
                metrics.unexpected_errors.labels("associations").inc()

    def _leaves(self, subject: Subject) -> bool:
        now = asyncio.get_running_loop().time()
        return subject in self.subjects and self._departures.is_due(subject, self._work.keys(), now)

    async def _remove(self, subject: Subject, may_go: Callable[[Subject], bool]) -> bool:
        """Delete it where it is ours and `may_go` holds by then; answers whether it was. Raises AwsError."""
        await self._listed()
        async with self._turn():
            found = await self._find(subject)
            if found is None or not self._owner.owns(found) or not may_go(subject):
                return False
            await self._delete(found)
        metrics.association_removals.inc()
        log.info("association_deleted", association=found.id, role_arn=found.role, **_facts(subject))
        return True

    async def _delete(self, found: Association) -> None:
        """Delete it; what asks for its subject meanwhile waits for the end of that. Raises AwsError."""
        self._seen.is_in_doubt(found.subject)
        ended = self._deleting[found.subject] = asyncio.Event()
        try:
            await self._api.delete(found.id)
            self._seen.is_gone(found.subject)
        finally:
            del self._deleting[found.subject]
            ended.set()

    async def _pursue(self, subject: Subject, work: _Work) -> None:
        """Try until it is done, or only a person can help."""
        failures = 0
        while not work.ticket.settled.done():
            try:
                work.ticket.settle(await self._try(subject, work))
            except AwsError as error:
                failure = Untrusted(work.role, error.kind, str(error))
            except Exception as error:
                log.exception("association_failed", **_facts(subject))
                metrics.unexpected_errors.labels("associations").inc()
                failure = Untrusted(work.role, FailureKind.UNAVAILABLE, str(unexpected(error)))
            else:
                break
            failures += 1
            await self._failed(subject, work.ticket, failure, failures)
        if self._work.get(subject) is work:
            del self._work[subject]

    async def _try(self, subject: Subject, work: _Work) -> Outcome:
        """Try once. Raises AwsError."""
        if deleting := self._deleting.get(subject):
            await deleting.wait()
        await self._listed()
        if self.expects(subject) and work.need is Need.SOON:
            return Trusted(work.role, TrustSource.ALREADY)
        if not self.leads and work.need is Need.CERTAIN:
            await self._give_the_leader_time(subject, work.ticket.asked)
        async with self._turn():
            if self.leads:
                return await self._settle(subject, work.role, work)
            if work.need is not Need.CERTAIN:
                return Untrusted(work.role, FailureKind.LEFT_TO_LEADER, LEFT_TO_LEADER)
            await self._look_for(subject)
            return await self._settle(subject, work.role, work)

    async def _give_the_leader_time(self, subject: Subject, asked: float) -> None:
        """Wait until the leader has made it, but no longer than it has time. Raises AwsError."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(asked + FIRST_LOOK - clock())
        if clock() < asked + LEADERS_TIME:
            async with self._turn():
                await self._look_for(subject)
            if self._seen.id_of(subject) is None:
                await asyncio.sleep(asked + LEADERS_TIME - clock())

    async def _look_for(self, subject: Subject) -> None:
        """Learn whether another replica has made it since the last list. Raises AwsError."""
        if self._seen.id_of(subject) is None:
            self._seen.take_of(subject, await self._api.list(subject))

    async def _failed(self, subject: Subject, ticket: PendingGrant, failure: Untrusted, failures: int) -> None:
        """Tell who waits, and wait before the next try where there is one."""
        pause = pause_after(failures)
        self._report(subject, failure)
        if failure.kind.is_final:
            ticket.settle(failure)
            return
        ticket.fail(failure)
        await asyncio.sleep(pause)

    def _report(self, subject: Subject, failure: Untrusted) -> None:
        log.warning(
            "not_associated",
            **_facts(subject),
            role_arn=failure.role.value,
            outcome=failure.kind.value,
            reason=failure.reason,
        )

    async def _settle(self, subject: Subject, role: RoleArn, work: _Work | None = None) -> Outcome:
        """Look, decide and act once."""
        found = await self._find(subject)
        if self._is_another(subject):
            reason = NAMESPACE_REPLACED
            return Untrusted(role, FailureKind.WITHDRAWN, reason)
        if found is None:
            self._check_may_add(subject)
            try:
                return self._made(await self._api.create(subject, role, self._owner.tags()), role)
            except AssociationInUseError as error:
                if error.association_id and work and work.need is Need.SOON:
                    self._seen.hear_of(subject, error.association_id)
                    return Trusted(role, TrustSource.ALREADY)
                found = await self._in_use(subject, error)
        verdict = judge(found, role, self._owner)
        match verdict.step:
            case Step.KEEP:
                return self._learn(subject, role, TrustSource.ALREADY)
            case Step.ACCEPT:
                return self._learn(subject, role, TrustSource.FOREIGN)
            case Step.UPDATE:
                self._check_may_add(subject)
                await self._api.update(found.id, role)
                log.warning("association_put_right", association=found.id, role_arn=role.value, **_facts(subject))
                metrics.association_repairs.inc()
                return self._learn(subject, role, TrustSource.WRITTEN)
            case _:
                self._seen.is_in_the_way(found)
                return Untrusted(role, FailureKind.TAKEN, verdict.reason)

    def _check_may_add(self, subject: Subject) -> None:
        """Raise AwsError where it may be given no role that it does not have, because it may be somebody else."""
        if not self._may_add(subject):
            raise AwsError(FailureKind.UNAVAILABLE, NOT_CERTAIN)

    async def _find(self, subject: Subject) -> Association | None:
        """The subject's association, by the id that was seen."""
        listed = self._seen.id_of(subject)
        found = await self._api.describe(listed) if listed else None
        if found is None or found.subject != subject:
            self._seen.is_gone(subject)
            return None
        self._seen.see(found)
        return found

    async def _in_use(self, subject: Subject, error: AssociationInUseError) -> Association:
        """What EKS says is there already: another replica's, somebody's, or one that was deleted just now."""
        found = await self._api.describe(error.association_id) if error.association_id else None
        if found is None or found.subject != subject:
            raise AwsError(FailureKind.UNAVAILABLE, f"{error}, which cannot be seen yet or any more")
        self._seen.see(found)
        return found

    def _made(self, made: Association, role: RoleArn) -> Outcome:
        self._seen.see(made)
        log.info("association_made", association=made.id, role_arn=role.value, **_facts(made.subject))
        return self._learn(made.subject, role, TrustSource.WRITTEN)

    def _learn(self, subject: Subject, role: RoleArn, proof: TrustSource) -> Trusted:
        self._seen.learn(subject, role, proof)
        return Trusted(role, proof)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One turn to call EKS."""
        async with self._limiter.turn():
            with self._progress.step("associations", _LONGEST_TURN):
                yield

    # The whole cluster

    async def _listed(self) -> None:
        """Wait until the list was read once, and once more since this replica leads: the leader before made some.

        Raises AwsError where it was never read.
        """
        reading = self._list
        if reading is None or self._is_too_old(reading):
            reading = self._read_anew()
        try:
            await asyncio.shield(reading)
        except AwsError:
            if not self._has_list:
                raise

    def _is_too_old(self, reading: asyncio.Task[None]) -> bool:
        """Whether a list is needed that is younger than what `reading` has shown."""
        if not reading.done():
            return False
        since = self._leads_since()
        is_of_this_term = since is None or self._list_began >= since
        return not is_of_this_term or (_went_wrong(reading) and not self._has_list)

    def _read_anew(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        self._list_began = loop.time()
        self._list = loop.create_task(self._read_list(), name="list associations")
        return self._list

    async def _read_list(self) -> None:
        async with self._turn():
            listing = await self._api.list()
        self._has_list = True
        self._seen.take(listing)
        self._gauges.show(len(listing.ids))

    async def _check(self) -> None:
        try:
            is_due = self._list is None or self._is_too_old(self._list)
            await (asyncio.shield(self._read_anew()) if is_due else self._read_list())
            wanted = self._wanted()
            missing = [subject for subject in wanted if self._seen.id_of(subject) is None]
            if self.leads:
                await self._make_and_look(wanted, missing)
            else:
                for subject in self._left_out.take(missing, asyncio.get_running_loop().time()):
                    self.submit(subject, wanted[subject])
        except AwsError as error:
            log.warning("associations_not_listed", outcome=error.kind.value, reason=str(error))
        except Exception:
            log.exception("associations_not_checked")
            metrics.unexpected_errors.labels("associations").inc()

    async def _make_and_look(self, wanted: Mapping[Subject, RoleArn], missing: Collection[Subject]) -> None:
        """What the leader does: make what is missing, and look at those looked at longest ago."""
        self._left_out.forget()
        for subject in missing:
            self.submit(subject, wanted[subject], Need.ANSWER)
        before, self._missing = self._missing, set(missing)
        if not self._missing <= before:
            return  # newcomers have EKS's rate for themselves: a later pass looks at what is there
        for subject in self._seen.worth_a_look(wanted.keys(), LOOKED_AT_PER_PASS):
            if not self.leads:
                return
            await self._look(subject, wanted[subject])
        for subject in self._seen.not_looked_at(wanted.keys(), LOOKED_AT_PER_PASS):
            await self._look_at_unwanted(subject)

    async def _look(self, subject: Subject, role: RoleArn) -> None:
        """Describe one again and put it right. One after another, so that newcomers hardly wait for it."""
        try:
            async with self._turn():
                outcome = await self._settle(subject, role)
        except AwsError as error:
            outcome = Untrusted(role, error.kind, str(error))
        if isinstance(outcome, Untrusted):
            self._report(subject, outcome)

    async def _look_at_unwanted(self, subject: Subject) -> None:
        """Describe one that nobody wants: whether it is ours, and may leave, only a look tells."""
        try:
            async with self._turn():
                await self._find(subject)
        except AwsError as error:
            facts = _facts(subject)
            log.warning("association_not_described", **facts, outcome=error.kind.value, reason=str(error))


def _went_wrong(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def _facts(subject: Subject) -> dict[str, str]:
    return {"namespace": subject.namespace, "service_account": subject.service_account}
