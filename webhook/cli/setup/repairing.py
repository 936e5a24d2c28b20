"""Removing from a bound role what an earlier `setup` began its trust policy with, under the role's lock.

The running program's own writer does it, so nothing that a replica has just written is lost to a stale read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cli.apply.engine import NoneAdded, write_until
from webhook.cli.locks import role_lock
from webhook.cli.own_statements import FIRST_OF_SETUP, own_without_denial
from webhook.engine.build import build_engine
from webhook.kube.api import KubernetesApi
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.caller import CallerCheck
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn

_SID = FIRST_OF_SETUP["Sid"]
_READ_SECONDS = 10.0


async def repair_trust(
    role: RoleArn, own: OwnStatement, connection: Connection, namespace: str, caller: CallerCheck
) -> None:
    """Remove that statement, and no other, and wait until IAM shows it. Raises AwsError, ClusterError.

    The locks are in `namespace`, the release's.
    """
    exists = await KubernetesApi(connection, ()).namespace(namespace, _READ_SECONDS) is not None
    lock = await role_lock(connection, namespace, exists=exists)
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
