"""The observer: it plans what would be done, again and again, and logs it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import AwsError
from webhook.observe.planned_changes import CHANGES, planned_changes
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from collections.abc import Set as AbstractSet

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.model.names import IssuerUrl, Subject
    from webhook.observe.planned_changes import PlannedChange
    from webhook.planning.binding_matches import Problem
    from webhook.planning.plan import Plan
    from webhook.server.issuer import ClusterIssuer
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

_LONGEST_ROUND = 900.0
"""Seconds: 5,000 associations are described within 250 s, anything else is a few calls."""


class Observer:
    """Logs each change when it is first planned, and again where it was gone in between; counts all of them.

    `plan` answers what would be done in the cluster of an issuer. It raises AwsError where AWS does not answer.
    """

    def __init__(
        self,
        cache: ClusterCache,
        issuer: ClusterIssuer,
        plan: Callable[[IssuerUrl], Awaitable[Plan]],
        progress: Progress,
    ) -> None:
        self._cache = cache
        self._issuer = issuer
        self._plan = plan
        self._progress = progress
        self._logged: AbstractSet[object] = frozenset()

    async def run(self, interval: float) -> None:
        """Plan at start and every `interval` seconds, until cancelled."""
        metrics.pass_interval.set(interval)
        await self._cache.wait_until_synced()
        while True:
            await self._issuer.wait()
            await run_and_log("not_observed", self._observe())
            await asyncio.sleep(interval)

    async def _observe(self) -> None:
        with metrics.pass_seconds.time(), self._progress.step("pass", _LONGEST_ROUND):
            try:
                plan = await self._plan(self._issuer.get())
            except AwsError as error:
                log.warning("not_observed", reason=str(error))
                return
        self._show(plan)
        metrics.pass_last_success.set_to_current_time()
        metrics.prune_last_success.set_to_current_time()

    def _show(self, plan: Plan) -> None:
        found = list(planned_changes(plan))
        counts = Counter(one.change for one in found)
        for change in CHANGES:
            metrics.observed_changes.labels(change).set(counts[change])
        metrics.observed_problems.set(len(plan.problems))
        for one in found:
            if one.key not in self._logged:
                _log_change(one)
        for problem in plan.problems:
            if problem not in self._logged:
                _log_problem(problem)
        logged = frozenset((*(one.key for one in found), *plan.problems))
        if logged != self._logged:
            log.info("observed", problems=len(plan.problems), **{change: counts[change] for change in CHANGES})
        self._logged = logged


def _log_change(change: PlannedChange) -> None:
    log.info(change.event, role_arn=change.role, reason=change.why, **_about(change.subject))


def _log_problem(problem: Problem) -> None:
    role = problem.role.value if problem.role else None
    facts = {"role_arn": role, "reason": problem.message, **_about(problem.subject)}
    log.warning("would_need_a_person", problem=problem.kind.value, **facts)


def _about(subject: Subject | None) -> dict[str, str]:
    return subject.log_fields if subject else {}
