"""How AWS says no: the kinds of failure that the program tells apart."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.model.endpoints import Unreachable


class FailureKind(StrEnum):
    """Why a call to AWS, or a grant, did not succeed.

    All are tried again, with pauses by `runtime.clock`, except for final ones, which wait for the next pass.
    """

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected_response"
    """An answer that is not AWS's, or a fault before AWS that time does not fix, such as no credentials.

    It says nothing about the role that was asked about.
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
    """The replica that leads makes the association; this replica does not know how far it is."""
    WITHDRAWN = "withdrawn"

    @property
    def passes_soon(self) -> bool:
        """Whether a moment may be enough, so that a review goes on waiting within its budget."""
        return self in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE, FailureKind.ROLE_NOT_ACCEPTED}

    @property
    def needs_a_person(self) -> bool:
        """Whether AWS answers, and only a person can fix the cause. Tried again unless it is final."""
        return not self.passes_soon and self is not FailureKind.UNEXPECTED

    @property
    def is_no_answer(self) -> bool:
        """Whether AWS has not answered: any other call would fail as well, and a write may have happened."""
        return self in {FailureKind.UNAVAILABLE, FailureKind.UNEXPECTED}

    @property
    def is_refusal(self) -> bool:
        """Whether AWS has read the request and refused it."""
        return not self.is_no_answer and self not in {FailureKind.THROTTLED, FailureKind.NOT_ALLOWED}

    @property
    def is_final(self) -> bool:
        """Whether it is not tried again before the next pass: a person has to act first."""
        return self in {
            FailureKind.FULL,
            FailureKind.DENIED_BY_POLICY,
            FailureKind.NOT_ALLOWED,
            FailureKind.TAKEN,
        }


class AwsError(Exception):
    """AWS did not do what was asked: `kind` for the program, the message for a person.

    `unreachable` is why no answer of AWS came, where that is it; `code` is AWS's own, empty where it gave none.
    """

    def __init__(
        self, kind: FailureKind, message: str, unreachable: Unreachable | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.unreachable = unreachable
        self.code = code
