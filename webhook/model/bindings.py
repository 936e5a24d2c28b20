"""A binding: which ServiceAccounts of which namespaces get which role, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.model.selectors import NamespaceSelector


class Mode(StrEnum):
    """How AWS comes to trust the ServiceAccount."""

    IRSA = "irsa"
    """Annotation, and our own statement in the role's trust policy."""
    POD_IDENTITY = "pod-identity"
    """An EKS Pod Identity association, and one statement for all of the binding's pods."""
    ANNOTATE = "annotate"
    """Annotation only: trust is managed externally."""


class ExistingAnnotation(StrEnum):
    """What to do about an annotation that names a role outside the binding."""

    KEEP = "keep"
    OVERRIDE = "override"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry of the configuration's `bindings`."""

    name: str
    service_account: str
    namespaces: NamespaceSelector
    mode: Mode
    roles: tuple[RoleArn, ...]
    existing_annotation: ExistingAnnotation = ExistingAnnotation.KEEP
    named_deployments: tuple[str, ...] = ()

    @property
    def deployments(self) -> tuple[str, ...]:
        """The names of the Deployments that run as the ServiceAccount: its own name unless others are given."""
        return self.named_deployments or (self.service_account,)

    @property
    def edits_trust(self) -> bool:
        """Whether its roles' trust policies are ours to add to."""
        return self.mode is not Mode.ANNOTATE

    @property
    def names_subjects(self) -> bool:
        """Whether each of its ServiceAccounts is named in a role's trust policy."""
        return self.mode is Mode.IRSA

    @property
    def associates(self) -> bool:
        """Whether each of its ServiceAccounts has a Pod Identity association."""
        return self.mode is Mode.POD_IDENTITY

    @property
    def annotates(self) -> bool:
        """Whether its ServiceAccounts carry the role annotation.

        They do not beside an association. A pod that is admitted before EKS's webhook knows the association would
        get the annotated role in its environment. That role trusts no token of the pod, and the pod would never
        get the association's.
        """
        return not self.associates

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether this binding is for a namespace of that name with those labels."""
        return self.namespaces.selects(namespace, labels)

    def covers(self, later: Binding) -> bool:
        """Whether `later` could never match because this one, coming first, takes all of it."""
        return self.service_account == later.service_account and self.namespaces.covers(later.namespaces)

    def roles_in_order(self, subject: Subject) -> tuple[RoleArn, ...]:
        """This binding's roles in the order of `subject`; `Grant.roles_in_order` puts what is annotated first.

        Rendezvous hashing: every replica computes the same order without talking, and subjects spread evenly. A
        role that is added leaves the relative order of the others as it was.
        """

        def weight(role: RoleArn) -> bytes:
            return sha256(f"{role}\n{subject}".encode()).digest()

        return tuple(sorted(self.roles, key=weight, reverse=True))


def first_match(
    bindings: tuple[Binding, ...], service_account: str, namespace: str, labels: Mapping[str, str]
) -> Binding | None:
    """The binding that decides about a ServiceAccount: the first that names it and selects its namespace."""
    for binding in bindings:
        if binding.service_account == service_account and binding.selects(namespace, labels):
            return binding
    return None


def possible_matches(bindings: tuple[Binding, ...], service_account: str, namespace: str) -> tuple[Binding, ...]:
    """The bindings that may decide about a ServiceAccount while the labels of its namespace are not known."""
    return tuple(
        binding
        for binding in bindings
        if binding.service_account == service_account and binding.namespaces.may_select(namespace)
    )


def is_listed(annotation: str, bindings: tuple[Binding, ...]) -> bool:
    """Whether a role annotation names a role of the configuration, whichever binding lists it."""
    return any(role.value == annotation for binding in bindings for role in binding.roles)


def service_accounts(bindings: tuple[Binding, ...]) -> list[str]:
    """The names of the ServiceAccounts that bindings are about, in order."""
    return sorted({binding.service_account for binding in bindings})


def label_keys(bindings: tuple[Binding, ...]) -> set[str]:
    """The labels of namespaces that bindings read."""
    return {key for binding in bindings for key in binding.namespaces.label_keys()}


def trusted_roles(bindings: tuple[Binding, ...]) -> set[RoleArn]:
    """The roles whose trust policies are ours to add to."""
    return {role for binding in bindings if binding.edits_trust for role in binding.roles}


def partition(bindings: tuple[Binding, ...]) -> str:
    """The partition of AWS that the bindings' roles are in."""
    return next((role.partition for binding in bindings for role in binding.roles), "aws")
