"""What the trust writer needs from outside, and how it learns that AWS said no."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractAsyncContextManager

    from webhook.domain.associations import Association, Listing
    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.trust_policy import TrustPolicy


class FailureKind(StrEnum):
    """Why a call to AWS, or a grant, did not succeed."""

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected_response"
    """An answer that is not AWS's, or a fault before AWS that a moment does not mend, such as no credentials.

    It says nothing of the one role that was asked about.
    """
    NO_SUCH_ROLE = "no_such_role"
    MALFORMED = "malformed"
    FULL = "full"
    DENIED_BY_POLICY = "denied_by_policy"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    IN_USE = "in_use"
    ROLE_NOT_ACCEPTED = "role_not_accepted"
    NO_SUCH_CLUSTER = "no_such_cluster"
    TAKEN = "taken"
    PENDING = "pending"
    LEFT_TO_LEADER = "left_to_leader"
    """Another replica, which leads, makes the association; nothing is known of how far it is."""
    WITHDRAWN = "withdrawn"

    @property
    def passes_soon(self) -> bool:
        """Whether waiting a moment may be enough, so that an admission still hopes within its budget."""
        return self in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE, FailureKind.ROLE_NOT_ACCEPTED}

    @property
    def needs_a_person(self) -> bool:
        """Whether patience does not mend it, though AWS can be asked."""
        return not self.passes_soon and self is not FailureKind.UNEXPECTED

    @property
    def is_no_answer(self) -> bool:
        """Whether AWS has not answered at all, so that whatever else is asked fares alike."""
        return self in {FailureKind.UNAVAILABLE, FailureKind.UNEXPECTED}

    @property
    def is_refusal(self) -> bool:
        """Whether AWS itself has looked at the request and refused it."""
        return not self.is_no_answer and self not in {FailureKind.THROTTLED, FailureKind.NOT_ALLOWED}

    @property
    def is_final(self) -> bool:
        """Whether trying again changes nothing until a person does something; the next pass looks again."""
        return self in {
            FailureKind.FULL,
            FailureKind.DENIED_BY_POLICY,
            FailureKind.NOT_ALLOWED,
            FailureKind.TAKEN,
        }


class AwsError(Exception):
    """AWS did not do what was asked: `kind` for the program, the message for a person."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TrustPolicies(Protocol):
    """IAM's trust policies. Each call is one request with its own short timeouts and no retry of its own.

    All raise AwsError. A write that raises UNAVAILABLE or UNEXPECTED may have happened.
    """

    async def read(self, role: RoleArn) -> TrustPolicy:
        """The role's trust policy as IAM answers it now; it can be seconds old."""

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """Replace the whole document; IAM has no conditional write, so the last writer wins.

        `may_send` is asked, in any thread, right before the request goes out: credentials are there by then.
        Where it says no, nothing is sent, and UNAVAILABLE is raised.
        """

    async def quota(self) -> int:
        """Characters that a trust policy may have, white space not counted."""


class AssociationInUseError(AwsError):
    """The ServiceAccount has an association already, or had one a moment ago; EKS says which, where it does."""

    def __init__(self, message: str, association_id: str | None) -> None:
        super().__init__(FailureKind.UNAVAILABLE, message)
        self.association_id = association_id


class AssociationApi(Protocol):
    """The Pod Identity associations of the one cluster that is ours. Each call has its own short timeouts.

    All raise AwsError. A call that raises UNAVAILABLE or UNEXPECTED may have happened. What was made or deleted
    just now can show late.
    """

    async def list(self, only: Subject | None = None) -> Listing:
        """All associations of the cluster, or the one of `only`; it says neither their roles nor their tags."""

    async def describe(self, association_id: str) -> Association | None:
        """One association, or None where there is none of that id."""

    async def create(self, subject: Subject, role: RoleArn, tags: Mapping[str, str]) -> Association:
        """Make one. Raises AssociationInUseError where there is one."""

    async def update(self, association_id: str, role: RoleArn) -> None:
        """Have one give `role`, with session tags."""

    async def delete(self, association_id: str) -> None:
        """Delete one; it is no error where it is gone."""


class Demand(Protocol):
    """What the cluster wants of the roles, by what is known now; no question makes a call."""

    def wanted_in(self, role: RoleArn) -> Collection[Subject]:
        """Who is wanted in `role` for certain."""

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""

    def may_leave(self, role: RoleArn, subject: Subject) -> bool:
        """Whether a removal of `subject` from `role` that was approved may be done now: nobody wants it there."""

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:
        """The same by what was last shown, however long ago: enough not to add it again, not to remove it."""

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of the namespace of `subject` is fresh enough to write it where it is not yet."""

    def is_another(self, role: RoleArn, subject: Subject) -> bool:
        """Whether whoever is called `subject` now is not who was trusted in `role`, and not to be."""


Seen = Callable[["Mapping[Subject, float]", "Mapping[Subject, float]"], None]
"""Takes the subjects written to a role in the last minute and those removed, with their ages in seconds."""


WaitsSince = Callable[[], float]
"""Since when, on the loop's clock, somebody waits for what the lock is wanted for; infinity where nobody does."""


class LockError(Exception):
    """A role's lock could not be taken or kept; the message says why."""


class Hold(Protocol):
    """A role's lock, held."""

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Have other replicas know what was written and removed, and how many seconds ago.

        It is stored with the next renewal, or when the lock is given back.
        """

    def outlasts(self, seconds: float) -> bool:
        """Whether the lock is ours for that much longer; a write is sent only if so. For any thread."""

    async def again(self) -> bool:
        """Keep it for another cycle; False where another replica waits for it or has it. Raises LockError."""


class RoleLock(Protocol):
    """Keeps the writers of one role apart.

    It does not fence: a holder that is stalled for longer than its lock lasts can still send a write. The pass
    over the whole cluster puts right what slips through.
    """

    def hold(self, role: RoleArn, seen: Seen, waits_since: WaitsSince) -> AbstractAsyncContextManager[Hold]:
        """Wait for the role's lock and hold it inside the `async with`. Raises LockError.

        While waiting, and once held, `seen` is called with what other holders wrote and removed lately. They are
        asked to hand the lock over only while `waits_since` says that somebody has waited for long.
        """
