"""A ServiceAccount's Pod Identity association: whose it is, and what to do about what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.documents import shown
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import ClusterArn, Subject

QUOTA = 5000
"""Associations that an EKS cluster may have; it cannot be raised, nor asked for (EKS User Guide, Pod Identity)."""

CLUSTER_TAG = "mxp-identity/cluster"
INSTALLATION_TAG = "mxp-identity/installation"


@dataclass(frozen=True, slots=True)
class Ownership:
    """By which tags our associations are known: a cluster and an installation, as in our statements' Sids."""

    cluster: ClusterArn
    installation: str

    def tags(self) -> dict[str, str]:
        """The tags that we give to an association."""
        return {CLUSTER_TAG: str(self.cluster), INSTALLATION_TAG: self.installation}

    def owns(self, association: Association) -> bool:
        """Whether it is ours: an add-on's is not, whatever tags it carries."""
        return association.owner_arn is None and self.tags().items() <= association.tags.items()


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
        """Whether a pod gets `role` by it, with the session tags that our trust statement looks at."""
        return self.role == role.value and self.session_tags and not self.target_role


@dataclass(frozen=True, slots=True)
class Listing:
    """All associations of a cluster as EKS lists them: their ids, and which of them add-ons own."""

    ids: Mapping[Subject, str] = field(default_factory=dict)
    of_addons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundAssociations:
    """What a look at a cluster's associations has shown: those that EKS described, by ServiceAccount.

    Where they could not be looked at, `unread` says why; `wrong_cluster` is whether that is because the named
    cluster is another, or none.
    """

    described: Mapping[Subject, Association] = field(default_factory=dict)
    there: int = 0
    """How many the cluster has, described or not."""
    unread: str = ""
    wrong_cluster: bool = False


class AssociationAction(StrEnum):
    """What to do about a ServiceAccount's association."""

    CREATE = "create"
    """There is none."""
    UPDATE = "update"
    """It is ours, and somebody changed it."""
    KEEP = "keep"
    """It is ours and right, whoever of us made it."""
    ACCEPT = "accept"
    """It is somebody else's and does what is wanted."""
    CONFLICT = "conflict"
    """It is in the way, and only a person can change it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The step, and for a person why nothing can be done, where nothing can."""

    step: AssociationAction
    reason: str = ""


def judge(found: Association | None, role: RoleArn, owner: Ownership) -> Verdict:
    """What to do so that a ServiceAccount with the association `found` gets `role`.

    A ServiceAccount has one association at most (CreatePodIdentityAssociation answers ResourceInUse), so what
    somebody else made is either good enough or a matter for people.
    """
    if found is None:
        return Verdict(AssociationAction.CREATE)
    if owner.owns(found):
        if found.target_role:
            # An update sets a target role and has no way to take one away.
            return Verdict(
                AssociationAction.CONFLICT,
                f"association {found.id} was given {shown(found.target_role)} as its target: delete it",
            )
        return Verdict(AssociationAction.KEEP if found.gives(role) else AssociationAction.UPDATE)
    if found.gives(role):
        return Verdict(AssociationAction.ACCEPT)
    return Verdict(
        AssociationAction.CONFLICT, f"association {found.id} {describe_owner(found)} {_what(found, role)}"
    )


def describe_owner(found: Association) -> str:
    """Whose an association is that is not ours, to follow its id."""
    if found.owner_arn:
        return f"of add-on {shown(found.owner_arn)}"
    if CLUSTER_TAG in found.tags or INSTALLATION_TAG in found.tags:
        named = found.tags.get(INSTALLATION_TAG, "?"), found.tags.get(CLUSTER_TAG, "?")
        return "of installation {} in cluster {}".format(*map(shown, named))
    return "that somebody else made"


def _what(found: Association, role: RoleArn) -> str:
    if found.role != role.value:
        return f"names {shown(found.role)}: delete it, and it is made anew with {role}"
    if found.target_role:
        return f"passes on to {shown(found.target_role)}: delete it, and it is made anew without"
    return "disables session tags, which the trust policy needs: delete it, and it is made anew with them"


def describe_change(found: Association, role: RoleArn) -> str:
    """What somebody did to an association of ours that was to give `role`."""
    return (
        f"somebody gave it {shown(found.role)}"
        if found.role != role.value
        else "somebody disabled its session tags"
    )


def associations_that_fit(there: int, quota: int = QUOTA) -> int:
    """How many more a cluster takes that has `there` already."""
    return max(quota - there, 0)
