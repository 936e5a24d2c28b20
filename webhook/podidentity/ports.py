"""What is needed from outside: the associations of one cluster in EKS, and those that the cluster wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.association import Association, Listing


class AssociationInUseError(AwsError):
    """The ServiceAccount has an association, or had one a moment ago; its id, where EKS names it."""

    def __init__(self, message: str, association_id: str | None) -> None:
        super().__init__(FailureKind.UNAVAILABLE, message)
        self.association_id = association_id


class AssociationApi(Protocol):
    """The Pod Identity associations of one cluster. Each call has its own short timeouts.

    All raise AwsError. A call that raises UNAVAILABLE or UNEXPECTED may have happened. What was created or deleted
    just now can show late.
    """

    async def list(self, only: Subject | None = None) -> Listing:
        """All associations of the cluster, or the one of `only`; a list has neither roles nor tags."""

    async def describe(self, association_id: str) -> Association | None:
        """One association, or None where there is none of that id."""

    async def create(self, subject: Subject, role: RoleArn, tags: Mapping[str, str]) -> Association:
        """Create one. Raises AssociationInUseError where there is one."""

    async def update(self, association_id: str, role: RoleArn) -> None:
        """Have one give `role`, with session tags."""

    async def delete(self, association_id: str) -> None:
        """Delete one; it is no error where it is gone."""


class DesiredAssociations(Protocol):
    """What the cluster wants, as last shown; no question makes a call."""

    def wanted_associations(self) -> Mapping[Subject, RoleArn]:
        """The role of each ServiceAccount that is to have an association."""

    def may_dissociate(self, subject: Subject, role: RoleArn | None) -> bool:
        """Whether no binding wants `subject` associated with `role`, so that an approved removal may be done."""

    def was_replaced(self, subject: Subject) -> bool:
        """Whether the namespace was recreated, and no binding wants `subject` associated."""

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of the namespace of `subject` is fresh enough to give it a role."""
