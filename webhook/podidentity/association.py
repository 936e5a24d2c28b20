"""A ServiceAccount's Pod Identity association: whether it is managed, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import ClusterArn, Subject

QUOTA = 5000
"""Associations that an EKS cluster may have; no API raises or reports it (EKS User Guide, Pod Identity)."""

CLUSTER_TAG = "mxp-identity/cluster"
INSTALLATION_TAG = "mxp-identity/installation"


class AssociationAction(StrEnum):
    """What to do about a ServiceAccount's association."""

    CREATE = "create"
    """There is none."""
    UPDATE = "update"
    """It is managed, and was changed."""
    KEEP = "keep"
    """It is managed and correct."""
    ACCEPT = "accept"
    """It is external and correct."""
    CONFLICT = "conflict"
    """It is wrong, and only a person can delete it: `conflict_reason` says why."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """The tags of managed associations: a cluster and an installation, as in the Sids of our statements."""

    cluster: ClusterArn
    installation: str

    def tags(self) -> dict[str, str]:
        """The tags that a managed association carries."""
        return {CLUSTER_TAG: str(self.cluster), INSTALLATION_TAG: self.installation}

    def owns(self, association: Association) -> bool:
        """Whether it is managed: an add-on's is not, whatever tags it carries."""
        return association.owner_arn is None and self.tags().items() <= association.tags.items()

    def action_for(self, found: Association | None, role: RoleArn) -> AssociationAction:
        """What to do so that a ServiceAccount with the association `found` gets `role`.

        A ServiceAccount has one association at most (CreatePodIdentityAssociation answers ResourceInUse), so an
        external one is either correct or a conflict.
        """
        if found is None:
            return AssociationAction.CREATE
        is_correct = found.gives(role)
        if not self.owns(found):
            return AssociationAction.ACCEPT if is_correct else AssociationAction.CONFLICT
        if found.target_role:
            return AssociationAction.CONFLICT  # an update sets a target role and cannot clear it
        return AssociationAction.KEEP if is_correct else AssociationAction.UPDATE

    def conflict_reason(self, found: Association, role: RoleArn) -> str:
        """Why a person has to delete an association whose action is CONFLICT."""
        origin = "of this installation" if self.owns(found) else found.origin
        if found.target_role:
            fault = f"passes on to {legible(found.target_role)}: delete it, and it is recreated without"
        elif found.role != role.value:
            fault = f"names {legible(found.role)}: delete it, and it is recreated with {role}"
        else:
            fault = "disables session tags, which the trust policy needs: delete it, and it is recreated with them"
        return f"association {found.id} {origin} {fault}"


@dataclass(frozen=True, slots=True)
class Association:
    """An association as EKS describes it."""

    id: str
    subject: Subject
    role: str
    tags: Mapping[str, str] = field(default_factory=dict)
    owner_arn: str | None = None
    session_tags: bool = True
    target_role: str | None = None

    @property
    def role_arn(self) -> RoleArn | None:
        """The role that it gives; None for one that no binding can name, such as one with `!` in its path."""
        try:
            return RoleArn(self.role)
        except InvalidNameError:
            return None

    def gives(self, role: RoleArn) -> bool:
        """Whether a pod gets `role` by it, with the session tags that our trust statement requires."""
        return self.role == role.value and self.session_tags and not self.target_role

    @property
    def names_an_installation(self) -> bool:
        """Whether its tags are those of an installation of this program."""
        return CLUSTER_TAG in self.tags or INSTALLATION_TAG in self.tags

    @property
    def origin(self) -> str:
        """Where an external one comes from, to follow its id."""
        if self.owner_arn:
            return f"of add-on {legible(self.owner_arn)}"
        if self.names_an_installation:
            named = self.tags.get(INSTALLATION_TAG, "?"), self.tags.get(CLUSTER_TAG, "?")
            return "of installation {} in cluster {}".format(*map(legible, named))
        return "created externally"

    def change_from(self, role: RoleArn) -> str:
        """How a managed association that should give `role` was changed."""
        return (
            f"it was given {legible(self.role)}" if self.role != role.value else "its session tags were disabled"
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """All associations of a cluster as EKS lists them: their ids, and which of them add-ons own."""

    ids: Mapping[Subject, str] = field(default_factory=dict)
    of_addons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundAssociations:
    """A cluster's associations: those that EKS described, by ServiceAccount.

    Where they could not be read, `unread` says why; `wrong_cluster` is whether the named cluster is another, or
    does not exist.
    """

    described: Mapping[Subject, Association] = field(default_factory=dict)
    there: int = 0
    """How many the cluster has, described or not."""
    unread: str = ""
    wrong_cluster: bool = False


class Need(IntEnum):
    """How much an association is needed; a greater need includes the smaller ones."""

    SOON = 0
    """Nothing waits for it. One that is listed is not described: after a start there are thousands."""
    ANSWER = 1
    """A review waits for it. One that is listed is described. Only the leader creates it."""
    CERTAIN = 2
    """The ServiceAccount is refused without it, or it is overdue: any replica creates it."""


def associations_that_fit(there: int) -> int:
    """How many more a cluster takes that has `there` already."""
    return max(QUOTA - there, 0)
