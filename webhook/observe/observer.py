"""The observer: it plans what would be done, again and again, and logs it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import AwsError
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from collections.abc import Set as AbstractSet

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.model.names import IssuerUrl, Subject
    from webhook.planning.binding_matches import Problem
    from webhook.planning.plan import Plan, RoleChange
    from webhook.server.issuer import ClusterIssuer
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

_LONGEST_ROUND = 900.0
"""Seconds: 5,000 associations are described within 250 s, anything else is a few calls."""


CHANGES = ("annotate", "trust", "associate", "statement", "remove")
"""The kinds of change: a ServiceAccount annotated, trusted by a role's policy, or associated; our statement in a
role written or corrected, whatever it names; trust or an association removed."""


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


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One thing that the program would do. `subject` is None for what is about a role alone."""

    change: str
    role: str
    subject: Subject | None
    why: str

    @property
    def event(self) -> str:
        """The event by which the log has it."""
        return f"would_{self.change}"

    @property
    def key(self) -> tuple[str, str, Subject | None]:
        """The same for as long as it would be done."""
        return self.change, self.role, self.subject


def planned_changes(plan: Plan) -> Iterator[PlannedChange]:
    """All that a plan would do."""
    for change in plan.roles:
        yield from _about_role(change)
    for one in plan.annotations:
        yield PlannedChange("annotate", one.role.value, one.subject, one.why)
    for each in (*plan.associations.made, *plan.associations.repaired):
        yield PlannedChange("associate", each.role.value, each.subject, each.why)
    for gone in plan.associations.removed:
        yield PlannedChange("remove", gone.found.role, gone.found.subject, gone.why)


def _about_role(change: RoleChange) -> Iterator[PlannedChange]:
    role = change.role.value
    if change.is_repaired:
        yield PlannedChange("statement", role, None, "our statement is not as it is written")
    for one in change.pods:
        yield PlannedChange("statement", role, None, f"the pods of binding {one.binding} need statement {one.sid}")
    for added in change.added:
        yield PlannedChange("trust", role, added.subject, added.why)
    for removed in change.removed:
        yield PlannedChange("remove", role, removed.subject, removed.why)
