"""Carrying out the steps, one after the other, each noted once it is done.

The trust policy of a bound role is written under the role's lock: replicas may write it at the same time.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cli.apply.engine import write_until
from webhook.cli.apply.retiring import NoneAdded
from webhook.cli.locks import role_lock
from webhook.cli.running import to_its_end
from webhook.cli.setup.steps import missing
from webhook.cli.snapshots.inspection import UNSEEN_SECONDS, Inspection, until_propagated
from webhook.cli.trust_statements import FIRST_OF_SETUP, own_without_denial
from webhook.engine.build import build_engine
from webhook.kube.api import KubernetesApi
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError, InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.aws.caller import CallerCheck
    from webhook.aws.clients import AwsClients
    from webhook.cli.account_calls import AccountCall
    from webhook.cli.running import Progress
    from webhook.cli.setup.prerequisites import DesiredAccount
    from webhook.cli.setup.steps import Step
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn

ASSOCIATE = "create_pod_identity_association"

_ACCEPTED_WITHIN = 60.0
"""Seconds within which EKS knows a role that was just created; Terraform waits for up to two minutes."""

_ASK_SECONDS = 1.0
_READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SetupSession:
    """What the steps are carried out with. `connection` is None where the API server is not asked."""

    calls: AwsCalls
    caller: CallerCheck
    connection: Connection | None
    desired: DesiredAccount
    waits: bool
    """Whether to wait until a new association is propagated."""


async def carry_out(
    steps: Sequence[Step], session: SetupSession, progress: Progress, done: Callable[[str], None]
) -> None:
    """Make the calls that are missing. Raises AwsError and ClusterError, which say how many were made before.

    Raises InvalidNameError before the first one where a step cannot be made from here.
    """
    left = missing(steps)
    repairs = [step for step, _ in left if step.needs_lock]
    if repairs and session.connection is None:
        raise InvalidNameError(
            f"the {repairs[0].what} is written under the role's lock, which is in the cluster: leave out --issuer"
        )
    for number, (step, call) in enumerate(left):
        progress.step(step.what)
        try:
            await to_its_end(_make(step, call, session, done))
        except (AwsError, ClusterError) as error:
            before = f"{number} of {len(left)} steps were done before, and the same command continues from there"
            if isinstance(error, AwsError):
                raise AwsError(error.kind, f"{error}; {before}") from error
            raise ClusterError(f"{error}; {before}") from error
    if session.waits and any(call.operation == ASSOCIATE for _, call in left):
        progress.step("waiting until EKS's webhook knows the association")
        await _wait_until_propagated(session)


async def _make(step: Step, call: AccountCall, session: SetupSession, done: Callable[[str], None]) -> None:
    await _call(step, call, session)
    done(step.what)


async def _call(step: Step, call: AccountCall, session: SetupSession) -> None:
    if step.edited is not None and session.connection is not None and step.needs_lock:
        await _repair_trust(step.edited, session.connection, session)
        return
    until = time.monotonic() + _ACCEPTED_WITHIN
    while True:
        try:
            await session.calls.call(call.name, partial(_send, call))
        except AwsError as error:
            if error.kind is not FailureKind.ROLE_NOT_ACCEPTED or time.monotonic() > until:
                raise
            await asyncio.sleep(_ASK_SECONDS)
        else:
            return


def _send(call: AccountCall, clients: AwsClients) -> None:
    getattr(getattr(clients, call.service), call.operation)(**call.parameters)


async def _wait_until_propagated(session: SetupSession) -> None:
    """Wait until a pod of the webhook would get credentials: one that is created too early never gets them."""
    if session.connection is None:
        await asyncio.sleep(UNSEEN_SECONDS)
        return
    inspection = Inspection(session.connection)
    reason = await until_propagated(inspection, session.desired.program, Mode.POD_IDENTITY, UNSEEN_SECONDS)
    if reason:
        raise AwsError(FailureKind.UNAVAILABLE, f"{reason}; all steps were done")


async def _repair_trust(role: RoleArn, connection: Connection, session: SetupSession) -> None:
    """Remove what an earlier `setup` began the role's trust policy with, under the role's lock.

    The running program's own writer does it, so nothing that a replica has just written is lost to a stale read.
    """
    namespace = session.desired.program.namespace
    exists = await KubernetesApi(connection, ()).namespace(namespace, _READ_SECONDS) is not None
    lock = await role_lock(connection, namespace, exists=exists)
    own = own_without_denial(session.desired.own_in(role))
    with closing(AwsCalls(partition=role.partition)) as calls:
        policies = IamTrustPolicies(calls, session.caller, AccountQuota(calls))
        engine = build_engine({role}, lambda _: own, lambda _: policies, lock, lambda _: NoneAdded(keeps=True))
        writer = engine.writers[role]
        try:
            reason = await write_until(writer, policies, _is_repaired)
        finally:
            await writer.close()
    if reason:
        raise AwsError(FailureKind.UNEXPECTED, f"the trust policy of {role.name} was not repaired: {reason}")


def _is_repaired(policy: TrustPolicy) -> bool:
    return all(one.get("Sid") != FIRST_OF_SETUP["Sid"] for one in policy.statements)
