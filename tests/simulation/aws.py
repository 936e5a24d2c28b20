"""One program's way to the simulated IAM: each request can be lost, late, or answered with an error."""

from __future__ import annotations

import asyncio
import copy
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation import checks
from tests.simulation.wire import Fate, SilenceError
from tests.support.simulated_iam import SAID_AT_ONCE, Trouble
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.processes import Process
    from tests.simulation.wire import Wire
    from tests.simulation.witness import Witness
    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import RoleArn

_FATES = {
    Trouble.ANSWER_LOST: Fate.ANSWER_LOST,
    Trouble.HANGS: Fate.REQUEST_LOST,
    Trouble.APPLIED_LATE: Fate.SERVED_LATE,
}


@dataclass(slots=True, eq=False)
class Write:
    """One document on its way to IAM, and what its sender had read."""

    process: Process
    cluster: str
    own: OwnStatement
    role: RoleArn
    document: Document
    base: Document | None
    call_before: str | None
    read_at: float
    sent_at: float
    ended_at: float = float("inf")
    refused: bool = False

    @property
    def ended_by(self) -> float:
        """When its sender had an answer, gave up, or died."""
        return min(self.ended_at, self.process.died_at)


class AwsClient:
    """The port TrustPolicies for one process."""

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a world
        self,
        iam: SimulatedIam,
        wire: Wire,
        witness: Witness,
        process: Process,
        cluster: str,
        own: Callable[[RoleArn], OwnStatement],
    ) -> None:
        self._iam = iam
        self._wire = wire
        self._witness = witness
        self._process = process
        self._cluster = cluster
        self._own = own
        self._base: dict[RoleArn, Document] = {}
        self._read_at: dict[RoleArn, float] = {}
        self._last_call: dict[RoleArn, str] = {}

    async def read(self, role: RoleArn) -> TrustPolicy:
        """As the port says."""
        started = self._witness.now()
        self._last_call[role] = "read"
        document: Document = await self._ask("read", role, lambda: self._iam.seen(role))
        self._base[role], self._read_at[role] = document, started
        self._process.last_seen[role] = checks.subjects_in(document, self._own(role))
        self._witness.removals.room.shown(role, document, self._witness.now())
        return TrustPolicy.parse(copy.deepcopy(document))

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """As the port says."""
        if not may_send():
            raise AwsError(FailureKind.UNAVAILABLE, "the lock would not have outlasted the write")
        write = Write(
            self._process,
            self._cluster,
            self._own(role),
            role,
            copy.deepcopy(policy.document),
            self._base.get(role),
            self._last_call.get(role),
            self._read_at.get(role, 0.0),
            self._witness.now(),
        )
        self._last_call[role] = "write"
        self._witness.sent(write)
        try:
            await self._ask("write", role, lambda: self._apply(write, policy))
        except AwsError as error:
            write.refused = error.kind is FailureKind.FULL
            self._witness.note(self._process.name, f"write of {role.name} failed: {error.kind.value}")
            raise
        finally:
            write.ended_at = self._witness.now()
        self._process.last_seen[role] = checks.subjects_in(write.document, write.own)
        self._witness.confirmed(write)

    async def quota(self) -> int:
        """As the port says; asked again each time, which costs nothing here."""
        if self._wire.cut or (trouble := self._iam.meets("quota", None)):
            raise SAID_AT_ONCE[Trouble.REFUSED if self._wire.cut else trouble or Trouble.REFUSED]
        return self._iam.answered_limit or self._iam.limit

    def _apply(self, write: Write, policy: TrustPolicy) -> None:
        before = self._iam.document(write.role)
        self._iam.apply(write.role, policy, self._process.name)
        self._witness.applied(write, before)

    async def _ask(self, operation: str, role: RoleArn, effect: Callable[[], Any]) -> Any:
        trouble = self._iam.meets(operation, role)
        if trouble is not None:
            self._witness.met(trouble.value, self._process.name, f"{operation} of {role.name}")

        def serve() -> Any:
            if trouble in SAID_AT_ONCE:
                raise SAID_AT_ONCE[trouble]
            result = effect()
            if trouble is Trouble.FAILS_AFTERWARDS:
                raise SAID_AT_ONCE[Trouble.REFUSED]
            return result

        latency = self._iam.latency * random.uniform(0.7, 1.3)
        fate = _FATES.get(trouble, Fate.SERVED) if trouble else Fate.SERVED
        try:
            return await self._wire.ask(serve, latency, fate)
        except SilenceError as error:
            raise AwsError(FailureKind.UNAVAILABLE, "no answer from IAM: timed out") from error


def stale_reads(iam: SimulatedIam, seconds: float) -> Callable[[], None]:
    """Have each read be up to so old, now more and now less; call the answer to end it."""
    task = asyncio.get_running_loop().create_task(_vary(iam, seconds))

    def end() -> None:
        task.cancel()
        iam.stale = 0.0

    return end


async def _vary(iam: SimulatedIam, seconds: float) -> None:
    while True:
        iam.stale = random.choice([0.0, random.uniform(0, seconds), seconds])
        await asyncio.sleep(random.uniform(0.2, 5.0))
