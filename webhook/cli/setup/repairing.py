"""Removing from a bound role what an earlier `setup` began its trust policy with, under the role's lock.

The running program's own writer does it, so nothing that a replica has just written is lost to a stale read.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cli.apply.engine import NoneAdded, write_until
from webhook.cli.snapshots.release import check_locks
from webhook.config.runtime_environment import process_identity
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.iam.first_statement import FIRST_OF_SETUP, own_without_denial
from webhook.kube.api import KubernetesApi
from webhook.kube.leases import Leases
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.aws.caller import CallerCheck
    from webhook.coordination.lock import Hold, Learn, RoleLock, WaitsSince
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn, Subject

_SID = FIRST_OF_SETUP["Sid"]
_READ_SECONDS = 10.0


async def repair_trust(
    role: RoleArn, own: OwnStatement, connection: Connection, namespace: str, caller: CallerCheck
) -> None:
    """Remove that statement, and no other, and wait until IAM shows it. Raises AwsError, ClusterError.

    The locks are in `namespace`, the release's.
    """
    lock = await _lock(connection, namespace)
    calls = AwsCalls(partition=role.partition)
    try:
        policies = IamTrustPolicies(calls, caller, AccountQuota(calls))
        former = own_without_denial(own)
        engine = build_engine({role}, lambda _: former, lambda _: policies, lock, lambda _: NoneAdded(keeps=True))
        writer = engine.writers[role]
        try:
            reason = await write_until(writer, policies, _is_repaired)
        finally:
            await writer.close()
    finally:
        calls.close()
    if reason:
        raise AwsError(FailureKind.UNEXPECTED, f"the trust policy of {role.name} was not repaired: {reason}")


def _is_repaired(policy: TrustPolicy) -> bool:
    return all(one.get("Sid") != _SID for one in policy.statements)


async def _lock(connection: Connection, namespace: str) -> RoleLock:
    """The locks of the program in that namespace; without the namespace there is no program to lock out."""
    if await KubernetesApi(connection, ()).namespace(namespace, _READ_SECONDS) is None:
        return _NoLock()
    await check_locks(connection, namespace)
    return LeaseLock(Leases(connection, namespace), process_identity())


class _NoLock:
    """The RoleLock of a cluster in which no program runs yet."""

    @asynccontextmanager
    async def hold(self, role: RoleArn, learn: Learn, waits_since: WaitsSince) -> AsyncIterator[Hold]:  # noqa: ARG002  the port's
        """As the port says."""
        yield _NoHold()


class _NoHold:
    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """There is no other writer to report to."""

    def record_repair(self) -> None:
        """No program counts it."""

    def outlasts(self, seconds: float) -> bool:  # noqa: ARG002  the port's
        return True

    async def renew(self) -> bool:
        return True
