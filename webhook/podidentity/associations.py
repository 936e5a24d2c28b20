"""Associations: one for each ServiceAccount of a binding in mode pod-identity, however many attempts it takes.

The leader creates them. Another replica creates only what the leader has not created in time: where several
replicas create one, EKS refuses all calls but one, and those cost a share of the rate that all replicas use.

Each pass lists the whole cluster. The list has neither roles nor tags, so the leader also describes some with each
pass, those described longest ago first. So what was changed by hand is found when its turn comes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.iam.pending import PendingGrant, PendingRemovals
from webhook.iam.reasons import LEFT_TO_LEADER, unexpected
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.association import Need
from webhook.podidentity.association_list import AssociationList, OverdueAssociations
from webhook.podidentity.association_writer import AssociationWriter
from webhook.runtime.clock import loop_clock, pause_after
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Ownership
    from webhook.podidentity.ports import AssociationApi, DesiredAssociations

log = structlog.get_logger(__name__)

_LOOP = "associations"

LEADER_GRACE = 2.0
"""Seconds that the leader has for an association before another replica, which needs it, creates it."""

_FIRST_CHECK = 0.5
"""Seconds after which such a replica lists it: usually the leader has created it."""

DESCRIBED_PER_PASS = 100
"""Associations that are described again with each pass: 5,000 within 50 passes."""


@dataclass(slots=True)
class _Request:
    """A subject that waits for its association."""

    role: RoleArn
    grant: PendingGrant
    need: Need
    task: asyncio.Task[None] | None = None

    def may_presume(self) -> bool:
        """Whether one that is listed is presumed correct."""
        return self.need is Need.SOON


class Associations:
    """Has subjects associated with roles, each by one task however many ask.

    What is known without a call is in `cache`. `leads_since` answers since when this replica leads, on the
    event loop's clock, or None; a command always leads.
    """

    def __init__(
        self,
        api: AssociationApi,
        owner: Ownership,
        desired: DesiredAssociations,
        leads_since: Callable[[], float | None] = lambda: float("-inf"),
        progress: Progress | None = None,
    ) -> None:
        self._desired = desired
        self._clock = clock = loop_clock()
        self._leads_since = leads_since
        self._writer = AssociationWriter(api, owner, desired, clock, progress or Progress())
        self.cache = self._writer.cache
        self._list = AssociationList(self._writer.list_all, leads_since, clock)
        self._requests: dict[Subject, _Request] = {}
        self._pending_removals = PendingRemovals(
            lambda subject: desired.may_dissociate(subject, self.subjects.get(subject))
        )
        self._overdue = OverdueAssociations()
        self._missing: set[Subject] = set()
        """By the last list that this replica read as the leader."""
        self._pass: asyncio.Task[None] | None = None
        self._removal: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def leads(self) -> bool:
        """Whether this replica creates what is missing. Others create only what needs to be certain."""
        return self._leads_since() is not None

    @property
    def subjects(self) -> Mapping[Subject, RoleArn | None]:
        """The role of each managed association, as last described or created; empty before the first list.

        None for a role that no binding can name.
        """
        return self.cache.managed

    # Requests

    def submit(self, subject: Subject, role: RoleArn, need: Need = Need.CERTAIN) -> PendingGrant:
        """Have `subject` associated with `role`; all requests for one subject share one grant.

        The greatest need counts. The grant settles as LEFT_TO_LEADER where that is not enough, because this
        replica does not lead.
        """
        self.defer_removal(subject)
        request = self._requests.get(subject)
        if request is None:
            request = self._requests[subject] = _Request(role, PendingGrant(self._clock()), need)
            work = self._obtain(subject, request)
            request.task = asyncio.get_running_loop().create_task(work, name=f"associate {subject}")
        request.need = max(request.need, need)
        return request.grant

    def defer_removal(self, subject: Subject) -> None:
        """Have an approved removal of the subject wait for a minute: a review relies on its association."""
        self._pending_removals.defer(subject, self._clock())

    def needs(self, subject: Subject, need: Need) -> None:
        """Raise the need of the request under way for `subject`, where there is one."""
        if (request := self._requests.get(subject)) is not None:
            request.need = max(request.need, need)

    def withdraw(self, subject: Subject, reason: str) -> None:
        """End the request for `subject`: its grant settles as WITHDRAWN. A call under way may still be done."""
        request = self._requests.pop(subject, None)
        if request and request.task:
            request.task.cancel()
            request.grant.settle(Untrusted(request.role, FailureKind.WITHDRAWN, reason))

    async def wait_until_synced(self) -> None:
        """Wait until the list was read once. Raises AwsError."""
        await self._list.wait_until_synced()

    def enqueue(self) -> None:
        """List the cluster again soon, and create what is missing: all as the leader, else what is overdue."""
        if not self._closing and (self._pass is None or self._pass.done()):
            self._pass = asyncio.get_running_loop().create_task(self._run_pass(), name="check associations")

    async def close(self) -> None:
        """Start nothing more. A call under way ends by its own timeouts; the next start finds what it did."""
        self._closing = True
        running = [self._list.reading, self._pass, self._removal, *(one.task for one in self._requests.values())]
        tasks = [task for task in running if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _obtain(self, subject: Subject, request: _Request) -> None:
        """Try until it is done, or only a person can help."""
        failures = 0
        while not request.grant.settled.done():
            try:
                request.grant.settle(await self._try(subject, request))
                break
            except AwsError as error:
                cause = error
            except Exception as error:
                log.exception("association_failed", **subject.log_fields)
                metrics.unexpected_errors.labels(_LOOP).inc()
                cause = unexpected(error)
            failures += 1
            failure = Untrusted(request.role, cause.kind, str(cause))
            _log_failure(subject, failure)
            if failure.kind.is_final:
                request.grant.settle(failure)
            else:
                request.grant.fail(failure)
                await asyncio.sleep(pause_after(failures))
        if self._requests.get(subject) is request:
            del self._requests[subject]

    async def _try(self, subject: Subject, request: _Request) -> Outcome:
        """Try once. Raises AwsError."""
        await self.cache.wait_for_deletion(subject)
        await self._list.wait_until_synced()
        if request.may_presume() and self.cache.is_undescribed(subject):
            return Trusted(request.role, TrustSource.ALREADY)
        if not self.leads and request.need is Need.CERTAIN:
            await self._wait_for_leader(subject, request.grant.asked)
        async with self._writer.turn():
            if not self.leads:
                if request.need is not Need.CERTAIN:
                    return Untrusted(request.role, FailureKind.LEFT_TO_LEADER, LEFT_TO_LEADER)
                await self._writer.find_new(subject)
            return await self._writer.ensure(subject, request.role, request.may_presume)

    async def _wait_for_leader(self, subject: Subject, asked: float) -> None:
        """Wait until the leader has created it, but no longer than its grace. Raises AwsError."""
        await asyncio.sleep(asked + _FIRST_CHECK - self._clock())
        if self._clock() < asked + LEADER_GRACE:
            async with self._writer.turn():
                await self._writer.find_new(subject)
            if self.cache.id_of(subject) is None:
                await asyncio.sleep(asked + LEADER_GRACE - self._clock())

    # Removals

    def approve_removals(self, subjects: Collection[Subject]) -> None:
        """Delete these as long as they are unused; the next call replaces them all."""
        self._pending_removals.approve(subjects, self._requests.keys(), self._clock())
        if self._closing or self._pending_removals.approved.isdisjoint(self.subjects):
            return
        if self._removal is None or self._removal.done():
            self._removal = asyncio.get_running_loop().create_task(
                self._remove_approved(), name="remove associations"
            )

    async def remove(self, subject: Subject) -> bool:
        """Delete the subject's association where it is managed; answers whether one was deleted.

        The caller has decided that it is unused. A request for the subject ends as WITHDRAWN. Raises AwsError.
        """
        self.withdraw(subject, "its association is being removed")
        return await self._delete(subject, lambda _: True)

    async def _remove_approved(self) -> None:
        """Delete those that are approved and due; each is checked once more right before the call."""
        for subject in sorted(self._pending_removals.approved & self.subjects.keys()):
            if self._may_remove(subject):
                await run_and_log(
                    "association_not_deleted",
                    self._delete(subject, self._may_remove),
                    _LOOP,
                    **subject.log_fields,
                )

    async def _delete(self, subject: Subject, may_delete: Callable[[Subject], bool]) -> bool:
        await self._list.wait_until_synced()
        return await self._writer.delete(subject, may_delete)

    def _may_remove(self, subject: Subject) -> bool:
        requested = self._requests.keys()
        return subject in self.subjects and self._pending_removals.is_due(subject, requested, self._clock())

    # A pass over the cluster

    async def _run_pass(self) -> None:
        if await run_and_log("associations_not_listed", self._list.refresh(), _LOOP):
            await run_and_log("associations_not_checked", self._create_and_check(), _LOOP)

    async def _create_and_check(self) -> None:
        """Create what is missing: all as the leader, else what is overdue."""
        wanted = self._desired.wanted_associations()
        missing = [subject for subject in wanted if self.cache.id_of(subject) is None]
        if self.leads:
            await self._create_and_check_as_leader(wanted, missing)
        else:
            for subject in self._overdue.update(missing, self._clock()):
                self.submit(subject, wanted[subject])

    async def _create_and_check_as_leader(
        self, wanted: Mapping[Subject, RoleArn], missing: Collection[Subject]
    ) -> None:
        """Create all that is missing, and check those that were described longest ago."""
        self._overdue.reset()
        for subject in missing:
            self.submit(subject, wanted[subject], Need.ANSWER)
        before, self._missing = self._missing, set(missing)
        if not self._missing <= before:
            return  # new ones come first at EKS's rate: a later pass checks what is there
        for subject in self.cache.stalest(wanted.keys(), DESCRIBED_PER_PASS):
            if not self.leads:
                return
            await self._check(subject, wanted[subject])
        for subject in self.cache.undescribed(wanted.keys(), DESCRIBED_PER_PASS):
            # Only its description shows whether it is managed, so that it may be removed.
            work = self._describe(subject)
            await run_and_log("association_not_described", work, _LOOP, **subject.log_fields)

    async def _check(self, subject: Subject, role: RoleArn) -> None:
        """Describe one again and repair it. They are checked one after another, so that new ones hardly wait."""
        try:
            async with self._writer.turn():
                outcome = await self._writer.ensure(subject, role)
        except AwsError as error:
            outcome = Untrusted(role, error.kind, str(error))
        if isinstance(outcome, Untrusted):
            _log_failure(subject, outcome)

    async def _describe(self, subject: Subject) -> None:
        async with self._writer.turn():
            await self._writer.find(subject)


def _log_failure(subject: Subject, failure: Untrusted) -> None:
    log.warning(
        "not_associated",
        **subject.log_fields,
        role_arn=failure.role.value,
        outcome=failure.kind.value,
        reason=failure.reason,
    )
