"""All calls to EKS, for one association at a time: describe it, decide, and create, update or delete it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from webhook.iam.policy_cache import NEARLY_FULL
from webhook.iam.reasons import NAMESPACE_REPLACED, NOT_CERTAIN
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.podidentity.association import QUOTA, AssociationAction, associations_that_fit
from webhook.podidentity.association_cache import AssociationCache
from webhook.podidentity.ports import AssociationInUseError
from webhook.runtime.rate_limiter import RateLimiter
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association, Ownership
    from webhook.podidentity.ports import AssociationApi, DesiredAssociations
    from webhook.runtime.clock import Clock
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

CALLS_PER_SECOND = 20.0
"""To begin with: EKS publishes no rate for these calls."""

_MOST_CALLS_PER_SECOND = 100.0
PARALLEL = 8

_LONGEST_TURN = 900.0
"""Seconds: a list of all 5,000 is fifty calls of some seconds each, anything else is a few."""


class AssociationWriter:
    """Creates, updates and deletes associations that carry our tags, and changes no other.

    What it sees is recorded in `cache`. All that calls EKS raises AwsError.
    """

    def __init__(
        self,
        api: AssociationApi,
        owner: Ownership,
        desired: DesiredAssociations,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._api = api
        self._owner = owner
        self._desired = desired
        self._progress = progress
        self._limiter = RateLimiter("eks", CALLS_PER_SECOND, _MOST_CALLS_PER_SECOND, PARALLEL)
        self._nearly_full = False
        metrics.association_quota.set(QUOTA)
        self.cache = AssociationCache(owner, clock)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to call EKS. `ensure`, `find` and `find_new` are called inside the `async with`."""
        async with self._limiter.turn():
            with self._progress.step("associations", _LONGEST_TURN):
                yield

    async def list_all(self) -> None:
        """List the associations of the cluster."""
        async with self.turn():
            listing = await self._api.list()
        self.cache.update(listing)
        self._show(len(listing.ids))

    async def find_new(self, subject: Subject) -> None:
        """List the subject's association: another replica may have created it since the last list."""
        if self.cache.id_of(subject) is None:
            self.cache.update_one(subject, await self._api.list(subject))

    async def find(self, subject: Subject) -> Association | None:
        """Describe the subject's association, by the id that was seen."""
        listed = self.cache.id_of(subject)
        found = await self._described(subject, listed)
        if found is None:
            self.cache.remove(subject)
        return found

    async def ensure(
        self, subject: Subject, role: RoleArn, may_presume: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Describe, decide and act once.

        Where `may_presume` holds and EKS refuses to create a second one, the first is presumed correct.
        """
        found = await self.find(subject)
        if self._desired.was_replaced(subject):
            return Untrusted(role, FailureKind.WITHDRAWN, NAMESPACE_REPLACED)
        if found is None:
            self._check_may_add(subject)
            try:
                created = await self._api.create(subject, role, self._owner.tags())
            except AssociationInUseError as error:
                if error.association_id and may_presume():
                    self.cache.record_id(subject, error.association_id)
                    return Trusted(role, TrustSource.ALREADY)
                # It is another replica's, an external one, or one that was deleted a moment ago.
                found = await self._described(subject, error.association_id)
                if found is None:
                    reason = f"{error}, which cannot be described yet or any more"
                    raise AwsError(FailureKind.UNAVAILABLE, reason) from error
            else:
                self.cache.record(created)
                log.info("association_created", **_facts(created), role_arn=role.value)
                return self._confirmed(subject, role, TrustSource.WRITTEN)
        match self._owner.action_for(found, role):
            case AssociationAction.KEEP:
                return self._confirmed(subject, role, TrustSource.ALREADY)
            case AssociationAction.ACCEPT:
                return self._confirmed(subject, role, TrustSource.EXTERNAL)
            case AssociationAction.UPDATE:
                self._check_may_add(subject)
                await self._api.update(found.id, role)
                log.warning("association_repaired", **_facts(found), role_arn=role.value)
                metrics.association_repairs.inc()
                return self._confirmed(subject, role, TrustSource.WRITTEN)
            case _:
                self.cache.mark_conflicting(found)
                return Untrusted(role, FailureKind.TAKEN, self._owner.conflict_reason(found, role))

    async def delete(self, subject: Subject, may_delete: Callable[[Subject], bool]) -> bool:
        """Delete the subject's association where it is managed and `may_delete` holds; answers whether it was.

        `may_delete` is asked right before the call.
        """
        async with self.turn():
            found = await self.find(subject)
            if found is None or not self._owner.owns(found) or not may_delete(subject):
                return False
            with self.cache.deleting(subject):
                await self._api.delete(found.id)
                self.cache.remove(subject)
        metrics.association_removals.inc()
        log.info("association_deleted", **_facts(found), role_arn=found.role)
        return True

    async def _described(self, subject: Subject, association_id: str | None) -> Association | None:
        found = await self._api.describe(association_id) if association_id else None
        if found is None or found.subject != subject:
            return None
        self.cache.record(found)
        return found

    def _show(self, there: int) -> None:
        """Show how many there are, and warn once each time that most of the quota is used."""
        fit = associations_that_fit(there)
        metrics.associations.set(there)
        metrics.associations_that_fit.set(fit)
        before, self._nearly_full = self._nearly_full, there > NEARLY_FULL * QUOTA
        if self._nearly_full and not before:
            reason = (
                f"{fit} more fit into the cluster; the quota cannot be raised: put further control planes into "
                "another cluster, or bind them in mode irsa"
            )
            log.warning("associations_nearly_full", associations=there, quota=QUOTA, reason=reason)

    def _confirmed(self, subject: Subject, role: RoleArn, source: TrustSource) -> Trusted:
        self.cache.confirm(subject, role, source)
        return Trusted(role, source)

    def _check_may_add(self, subject: Subject) -> None:
        """Raise AwsError where the subject's namespace may have been recreated: then it is given no new role."""
        if not self._desired.may_add(subject):
            raise AwsError(FailureKind.UNAVAILABLE, NOT_CERTAIN)


def _facts(association: Association) -> dict[str, str]:
    return {"association": association.id, **association.subject.log_fields}
