"""What the role writer needs from outside: IAM, and what the cluster wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject


class TrustPolicies(Protocol):
    """IAM's trust policies. Each call is one request with its own short timeouts and no retry of its own.

    All raise AwsError. A write that raises UNAVAILABLE or UNEXPECTED may have happened.
    """

    async def read(self, role: RoleArn) -> TrustPolicy:
        """The role's trust policy as IAM answers it now; it can be seconds old."""

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """Replace the whole document; IAM has no conditional write, so the last writer wins.

        `may_send` is asked, in any thread, right before the request goes out: credentials are there by then.
        Where it answers False, nothing is sent, and UNAVAILABLE is raised.
        """

    async def quota(self) -> int:
        """Characters that a trust policy may have, white space not counted."""


class DesiredSubjects(Protocol):
    """Which subjects the cluster wants in a role, by what is known now; no question makes a call."""

    def wanted_in(self, role: RoleArn) -> Collection[Subject]:
        """The subjects that are wanted in `role` for certain."""

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""

    def may_remove(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` is certainly unused in `role` now, so that an approved removal may be done."""

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` is unused in `role` by what was last shown, however long ago.

        That is enough not to add it again, and not enough to remove it.
        """

    def addable_among(self, subjects: Collection[Subject]) -> Collection[Subject]:
        """Those whose namespace is known so freshly that they may be added where they are not trusted yet."""

    def replaced_among(self, subjects: Collection[Subject]) -> Collection[Subject]:
        """Those whose namespace was recreated and is selected by no binding: the new one inherits no trust."""
