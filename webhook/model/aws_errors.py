"""How AWS says no: the kinds of failure that the program tells apart."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """Why a call to AWS, or a grant, did not succeed."""

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected_response"
    """An answer that is not AWS's, or a fault before AWS that time does not fix, such as no credentials.

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
        """Whether waiting does not fix it, though AWS can be asked."""
        return not self.passes_soon and self is not FailureKind.UNEXPECTED

    @property
    def is_no_answer(self) -> bool:
        """Whether AWS has not answered at all, so that whatever else is asked fares alike."""
        return self in {FailureKind.UNAVAILABLE, FailureKind.UNEXPECTED}

    @property
    def is_refusal(self) -> bool:
        """Whether AWS itself has read the request and refused it."""
        return not self.is_no_answer and self not in {FailureKind.THROTTLED, FailureKind.NOT_ALLOWED}

    @property
    def is_final(self) -> bool:
        """Whether trying again changes nothing until a person does something; the next pass checks again."""
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
