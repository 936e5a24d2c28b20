"""Carrying out the steps, one after the other, each noted once it is done."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from webhook.cli.propagation import UNSEEN_SECONDS, until_propagated
from webhook.cli.running import to_its_end
from webhook.cli.setup.repairing import repair_trust
from webhook.cli.setup.steps import missing
from webhook.cli.snapshots.inspection import Inspection
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError, InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.aws.caller import CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.cli.account_calls import AccountCall
    from webhook.cli.running import Progress
    from webhook.cli.setup.desired import DesiredAccount
    from webhook.cli.setup.steps import Step
    from webhook.kube.connection import Connection

ASSOCIATE = "create_pod_identity_association"

_ACCEPTED_WITHIN = 60.0
"""Seconds within which EKS knows a role that was just created; Terraform waits for up to two minutes."""

_ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Hands:
    """What the steps are carried out with. `connection` is None where the API server is not asked."""

    calls: AwsCalls
    caller: CallerCheck
    connection: Connection | None
    desired: DesiredAccount
    waits: bool
    """Whether to wait until a new association is propagated."""


async def carry_out(steps: Sequence[Step], hands: Hands, progress: Progress, done: Callable[[str], None]) -> None:
    """Make the calls that are missing. Raises AwsError and ClusterError, which say how many were made before.

    Raises InvalidNameError before the first one where a step cannot be made from here.
    """
    left = missing(steps)
    repairs = [step for step, _ in left if step.needs_lock]
    if repairs and hands.connection is None:
        raise InvalidNameError(
            f"the {repairs[0].what} is written under the role's lock, which is in the cluster: leave out --issuer"
        )
    for number, (step, call) in enumerate(left):
        progress.step(step.what)
        try:
            await to_its_end(_make(step, call, hands, done))
        except (AwsError, ClusterError) as error:
            before = f"{number} of {len(left)} steps were done before, and the same command continues from there"
            if isinstance(error, AwsError):
                raise AwsError(error.kind, f"{error}; {before}") from error
            raise ClusterError(f"{error}; {before}") from error
    if hands.waits and any(call.operation == ASSOCIATE for _, call in left):
        progress.step("waiting until EKS's webhook knows the association")
        await _wait_until_propagated(hands)


async def _make(step: Step, call: AccountCall, hands: Hands, done: Callable[[str], None]) -> None:
    await _call(step, call, hands)
    done(step.what)


async def _call(step: Step, call: AccountCall, hands: Hands) -> None:
    if step.edited is not None and hands.connection is not None and step.needs_lock:
        own, namespace = hands.desired.own_in(step.edited), hands.desired.program.namespace
        await repair_trust(step.edited, own, hands.connection, namespace, hands.caller)
        return
    until = time.monotonic() + _ACCEPTED_WITHIN
    while True:
        try:
            await hands.calls.call(call.name, partial(_send, call))
        except AwsError as error:
            if error.kind is not FailureKind.ROLE_NOT_ACCEPTED or time.monotonic() > until:
                raise
            await asyncio.sleep(_ASK_SECONDS)
        else:
            return


def _send(call: AccountCall, clients: AwsClients) -> None:
    getattr(getattr(clients, call.service), call.operation)(**call.parameters)


async def _wait_until_propagated(hands: Hands) -> None:
    """Wait until a pod of the webhook would get credentials: one that is created too early never gets them."""
    if hands.connection is None:
        await asyncio.sleep(UNSEEN_SECONDS)
        return
    inspection = Inspection(hands.connection)
    reason = await until_propagated(inspection, hands.desired.program, Mode.POD_IDENTITY, UNSEEN_SECONDS)
    if reason:
        raise AwsError(FailureKind.UNAVAILABLE, f"{reason}; all steps were done")
