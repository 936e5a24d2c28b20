"""Removing our statement for good, by a writer whose cluster wants no subject in the role."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from webhook.cli.apply.engine import NoneAdded, write_until
from webhook.cli.own_statements import names_subjects
from webhook.cli.snapshots.release import check_locks
from webhook.config.runtime_environment import process_identity
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.kube.leases import Leases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from webhook.cli.apply.engine import Done
    from webhook.cli.snapshots.session import Session
    from webhook.coordination.lock import Hold, Learn, RoleLock, WaitsSince
    from webhook.iam.ports import TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.plan import Plan


class _UnreportedLock:
    """The lock, whose Lease keeps the subjects that it names; those of the retired statement are not added."""

    def __init__(self, lock: RoleLock) -> None:
        self._lock = lock

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[Hold]:
        """As the port says."""
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


async def retire_here(here: Session, plan: Plan, progress: Callable[[str], None], done: Done) -> None:
    """Remove the statements that the plan removes, wait until IAM shows it, and note it in `done`.

    Raises ClusterError without the right to take the locks.
    """
    await check_locks(here.connection, here.namespace)
    lock = LeaseLock(Leases(here.connection, here.namespace), process_identity())
    await retire(plan, here.policies_to_write(), lock, progress, done)


async def retire(
    plan: Plan, policies: TrustPolicies, lock: RoleLock, progress: Callable[[str], None], done: Done
) -> None:
    """The same, one role after the other."""
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
