"""IAM's trust policies as the port has them, with everything that goes wrong there, in the loop's own time.

Every document ever stored and every call is kept, so that a test can ask afterwards whether all was well.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.token_bucket import TokenBucket
    from webhook.model.names import RoleArn

Document = dict[str, Any]

CLIENT_TIMEOUT = 3.0
"""Seconds after which the program's own clients give up."""


class Trouble(StrEnum):
    """What can become of a call."""

    THROTTLED = "throttled"
    REFUSED = "refused"
    ACCESS_DENIED = "access_denied"
    NOT_ALLOWED = "not_allowed"
    UNEXPECTED = "unexpected"
    """A proxy's page."""
    FAILS_AFTERWARDS = "fails_afterwards"
    """Applied, then an error as if it had not been."""
    ANSWER_LOST = "answer_lost"
    """Applied, and no answer."""
    HANGS = "hangs"
    """Not applied, and no answer."""
    APPLIED_LATE = "applied_late"
    """No answer, and applied when the caller has long given up."""


SAID_AT_ONCE = {
    Trouble.THROTTLED: AwsError(FailureKind.THROTTLED, "Throttling: Rate exceeded"),
    Trouble.REFUSED: AwsError(FailureKind.UNAVAILABLE, "ServiceFailure: unknown error"),
    Trouble.ACCESS_DENIED: AwsError(FailureKind.ACCESS_DENIED, "AccessDenied: not authorized to perform this"),
    Trouble.NOT_ALLOWED: AwsError(FailureKind.NOT_ALLOWED, "UnmodifiableEntity: protected role"),
    Trouble.UNEXPECTED: AwsError(FailureKind.UNEXPECTED, "HTTP 403, text/html: not AWS's answer"),
}
_LATE_SECONDS = 8.0


@dataclass(slots=True)
class Switch:
    """A trouble that is on; `times` calls more meet it, or all until `off`."""

    trouble: Trouble
    operations: frozenset[str]
    role: RoleArn | None
    times: float

    def off(self) -> None:
        """From now on nothing meets it."""
        self.times = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was from `at` on; None where the role was deleted."""

    at: float
    document: Document | None
    by: str


@dataclass(slots=True)
class Call:
    """One call; `ended` is infinite while it is on its way."""

    caller: str
    operation: str
    role: RoleArn | None
    started: float
    ended: float = float("inf")
    outcome: str = "on its way"


@dataclass(frozen=True, slots=True)
class Put:
    """A document that a client asked to be stored, and what it had read last."""

    call: Call
    document: Document
    base: Document | None
    call_before: str | None


@dataclass(slots=True)
class SimulatedIam:
    """One account's IAM. `stale` and `latency` are seconds and may be changed at any time."""

    latency: float = 0.05
    credentials_take: float = 0.0
    """Seconds that a writer's credentials take, before its write is sent."""
    stale: float = 0.0
    limit: int = 2048
    """Characters that are enforced."""
    answered_limit: int | None = None
    """Characters that `quota` answers, where that is something else."""
    reorders: bool = True
    bucket: TokenBucket | None = None
    """What throttles reads and writes, where something does."""
    calls: list[Call] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    _switches: list[Switch] = field(default_factory=list)
    _stored: defaultdict[RoleArn, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    _late: set[asyncio.Task[None]] = field(default_factory=set)

    def client(self, caller: str = "a") -> SimulatedPolicies:
        """The port for one program."""
        return SimulatedPolicies(self, caller)

    def store(self, role: RoleArn, document: Document, by: str = "another client") -> None:
        """Put a document there, as an administrator or another program does."""
        self._stored[role].append(Stored(_now(), copy.deepcopy(document), by))

    @property
    def roles(self) -> list[RoleArn]:
        """The roles that there are or were."""
        return list(self._stored)

    def edit(self, role: RoleArn, change: Callable[[Document], None]) -> None:
        """Change the document in force, as an external editor would."""
        document = copy.deepcopy(self.document(role))
        change(document)
        self.store(role, document)

    def delete(self, role: RoleArn) -> None:
        """Delete the role."""
        self._stored[role].append(Stored(_now(), None, "another client"))

    def document(self, role: RoleArn) -> Document:
        """The document in force."""
        document = self._stored[role][-1].document
        assert document is not None
        return document

    def history(self, role: RoleArn) -> list[Document]:
        """Every document there ever was, oldest first."""
        return [stored.document for stored in self._stored[role] if stored.document is not None]

    def have(
        self, trouble: Trouble, *operations: str, role: RoleArn | None = None, times: float = float("inf")
    ) -> Switch:
        """Have the next calls (of `operations`, of `role`; else of any) meet a trouble."""
        switch = Switch(trouble, frozenset(operations or ("read", "write", "quota")), role, times)
        self._switches.append(switch)
        return switch

    def recover(self) -> None:
        """Switch every trouble off."""
        for switch in self._switches:
            switch.off()
        self._switches.clear()

    def made(self, operation: str, role: RoleArn | None = None) -> list[Call]:
        """The calls of one kind, of one role or of all."""
        return [call for call in self.calls if call.operation == operation and role in {None, call.role}]

    def meets(self, operation: str, role: RoleArn | None) -> Trouble | None:
        """What the next call of this kind meets."""
        for switch in self._switches:
            if switch.times > 0 and operation in switch.operations and switch.role in {None, role}:
                switch.times -= 1
                return switch.trouble
        if self.bucket and role and not self.bucket.admits():
            return Trouble.THROTTLED
        return None

    def seen(self, role: RoleArn) -> Document:
        """The document as a read shows it now. Raises AwsError where there is no role."""
        limit = _now() - self.stale
        versions = self._stored[role]
        stored = next((one for one in reversed(versions) if one.at <= limit), versions[0] if versions else None)
        if stored is None or stored.document is None:
            raise AwsError(FailureKind.NO_SUCH_ROLE, f"NoSuchEntity: the role {role.name} cannot be found")
        return _another_order(stored.document) if self.reorders else copy.deepcopy(stored.document)

    def apply(self, role: RoleArn, policy: TrustPolicy, by: str) -> None:
        """Store a document if IAM would. Raises AwsError."""
        versions = self._stored[role]
        if not versions or versions[-1].document is None:
            raise AwsError(FailureKind.NO_SUCH_ROLE, f"NoSuchEntity: the role {role.name} cannot be found")
        if not policy.statements:
            raise AwsError(FailureKind.MALFORMED, "MalformedPolicyDocument: Statement is empty!")
        if dangling := policy.dangling_principals():
            raise AwsError(
                FailureKind.MALFORMED,
                f'MalformedPolicyDocument: Invalid principal in policy: "AWS":"{dangling[0][1]}"',
            )
        if policy.size() > self.limit:
            raise AwsError(
                FailureKind.FULL, f"LimitExceeded: Cannot exceed quota for ACLSizePerRole: {self.limit}"
            )
        self.store(role, policy.document, by)

    def apply_late(self, role: RoleArn, policy: TrustPolicy, by: str) -> None:
        """Store a document some seconds from now, whatever was stored meanwhile."""

        async def wait_and_apply() -> None:
            await asyncio.sleep(_LATE_SECONDS)
            self.apply(role, policy, by)

        task = asyncio.get_running_loop().create_task(wait_and_apply())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


class SimulatedPolicies:
    """The port TrustPolicies, for one program."""

    def __init__(self, iam: SimulatedIam, caller: str) -> None:
        self._iam = iam
        self._caller = caller
        self._read: dict[RoleArn, Document] = {}
        self._last_call: dict[RoleArn, str] = {}

    async def read(self, role: RoleArn) -> TrustPolicy:
        """As the port says."""
        document: Document = await self._made("read", role, lambda: self._iam.seen(role))
        self._read[role] = document
        return TrustPolicy.parse(copy.deepcopy(document))

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """As the port says."""
        await asyncio.sleep(self._iam.credentials_take)
        if not may_send():
            raise AwsError(FailureKind.UNAVAILABLE, "the lock would not have outlasted the write")
        before, base = self._last_call.get(role), self._read.get(role)
        await self._made(
            "write",
            role,
            lambda: self._iam.apply(role, policy, self._caller),
            late=lambda: self._iam.apply_late(role, policy, self._caller),
            note=lambda call: self._iam.puts.append(Put(call, copy.deepcopy(policy.document), base, before)),
        )

    async def quota(self) -> int:
        """As the port says; asked again each time, which costs nothing here."""
        trouble = self._iam.meets("quota", None)
        if trouble in SAID_AT_ONCE:
            raise SAID_AT_ONCE[trouble]
        if trouble:
            await self._give_up()
        return self._iam.answered_limit or self._iam.limit

    async def _made(
        self,
        operation: str,
        role: RoleArn,
        effect: Callable[[], Any],
        *,
        late: Callable[[], None] | None = None,
        note: Callable[[Call], None] | None = None,
    ) -> Any:
        call = Call(self._caller, operation, role, _now())
        self._iam.calls.append(call)
        self._last_call[role] = operation
        if note:
            note(call)
        trouble = self._iam.meets(operation, role)
        try:
            result = await self._through(trouble, effect, late)
        except AwsError as error:
            call.outcome = error.kind.value
            raise
        else:
            call.outcome = "ok"
            return result
        finally:
            call.ended = _now()

    async def _through(
        self, trouble: Trouble | None, effect: Callable[[], Any], late: Callable[[], None] | None
    ) -> Any:
        await asyncio.sleep(self._iam.latency / 2)
        if trouble in SAID_AT_ONCE:
            raise SAID_AT_ONCE[trouble]
        if trouble is Trouble.APPLIED_LATE and late:
            late()
        if trouble in {Trouble.HANGS, Trouble.APPLIED_LATE}:
            await self._give_up()
        result = effect()
        if trouble is Trouble.ANSWER_LOST:
            await self._give_up()
        await asyncio.sleep(self._iam.latency / 2)
        if trouble is Trouble.FAILS_AFTERWARDS:
            raise SAID_AT_ONCE[Trouble.REFUSED]
        return result

    async def _give_up(self) -> None:
        await asyncio.sleep(CLIENT_TIMEOUT)
        raise AwsError(FailureKind.UNAVAILABLE, "no answer from IAM: timed out")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _another_order(value: Any) -> Any:
    """The same meaning in another form: IAM keeps neither order nor lists of one."""
    if isinstance(value, dict):
        keys = random.sample(list(value), len(value))
        return {key: _another_order(value[key]) for key in keys}
    if isinstance(value, list):
        members = [_another_order(member) for member in value]
        return members[0] if len(members) == 1 else random.sample(members, len(members))
    return value
