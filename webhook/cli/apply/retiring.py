"""Writers that add no subject, and removing our statement for good by one of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.apply.engine import write_until
from webhook.cli.trust_statements import names_subjects
from webhook.engine.build import build_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from webhook.cli.output import Done
    from webhook.coordination.lock import Hold, Learn, RoleLock, WaitsSince
    from webhook.iam.ports import TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class NoneAdded:
    """The DesiredSubjects of a writer that adds no subject.

    With `keeps` it removes none either. Else it may remove all: their cluster is gone, or no binding has the role.
    """

    keeps: bool

    def wanted_in(self, role: RoleArn) -> Collection[Subject]:  # noqa: ARG002  the port's
        """As the port promises."""
        return ()

    def may_want(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """As the port promises."""
        return self.keeps

    def may_remove(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """As the port promises."""
        return not self.keeps

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """As the port promises."""
        return not self.keeps

    def addable_among(self, subjects: Collection[Subject]) -> Collection[Subject]:  # noqa: ARG002  the port's
        """As the port promises."""
        return ()

    def replaced_among(self, subjects: Collection[Subject]) -> Collection[Subject]:  # noqa: ARG002  the port's
        """As the port promises."""
        return ()


class _UnreportedLock:
    """The lock, whose Lease keeps the subjects that it names; those of the retired statement are not added."""

    def __init__(self, lock: RoleLock) -> None:
        self._lock = lock

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[Hold]:
        async with self._lock.hold(role, learn, waits_since) as hold:
            yield _UnreportedHold(hold)


class _UnreportedHold:
    def __init__(self, hold: Hold) -> None:
        self.outlasts = hold.outlasts
        self.renew = hold.renew

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Report nothing: no running replica has this statement."""

    def record_repair(self) -> None:
        """Nothing is repaired here."""


async def retire(
    plan: Plan, policies: TrustPolicies, lock: RoleLock, progress: Callable[[str], None], done: Done
) -> None:
    """Remove the statements that the plan removes, wait until IAM shows it, and note it in `done`."""
    owns = {change.role: change.own for change in plan.roles}
    engine = build_engine(
        owns, owns.__getitem__, lambda _: policies, _UnreportedLock(lock), lambda _: NoneAdded(keeps=False)
    )
    for number, change in enumerate(plan.roles, 1):
        progress(f"{number} of {len(plan.roles)} roles")
        writer = engine.writers[change.role]
        writer.approve_removals({item.subject for item in change.removed})
        try:
            reason = await write_until(writer, policies, _lacks(change.own))
        finally:
            await writer.close()
        if reason:
            done.failed.append(f"{change.role}: {reason}")
        else:
            done.written.extend(f"{change.role}: statement {sid} removed" for sid in change.retired)


def _lacks(own: OwnStatement) -> Callable[[TrustPolicy], bool]:
    return lambda policy: not names_subjects(policy, own)
