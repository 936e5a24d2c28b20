"""Removal: its reasons, the one rule that finds them (`removal_reason`), and how many are removed in an hour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.decisions import Account, Grant, Ignore, IgnoreReason, decide_existing

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.model.bindings import Binding
    from webhook.model.decisions import LiveNamespace, Refuse
    from webhook.model.names import RoleArn, Subject


HOUR = 3600.0
"""Seconds over which removals are counted."""

_ALWAYS_ALLOWED = 3
"""Removals an hour that are always allowed, however few subjects there are."""


class RemovalReason(StrEnum):
    """Why a subject does not keep a role. `removal_reason` finds it, `_SENTENCES` words it."""

    NAMESPACE_GONE = "namespace_gone"
    NAMESPACE_REPLACED = "namespace_replaced"
    """The namespace was recreated, and is not selected: the new one inherits no trust."""
    ACCOUNT_GONE = "account_gone"
    """The ServiceAccount was deleted, or never came: its creation was rejected after our answer."""
    NOT_BOUND = "not_bound"
    """No binding that lists the role selects it: a label or a binding was removed."""
    EXTERNAL_ROLE = "external_role"
    """Its annotation names a role that no binding lists."""
    OTHER_ROLE = "other_role"
    """Its annotation names another role of its binding, which trusts it."""

    @property
    def is_deletion(self) -> bool:
        """Whether the namespace that was trusted does not exist any more."""
        return self in {RemovalReason.NAMESPACE_GONE, RemovalReason.NAMESPACE_REPLACED}

    @property
    def waits_for_grace(self) -> bool:
        """Whether removal waits for the grace: it may be a mistake, or a moment between two steps."""
        return self is not RemovalReason.NAMESPACE_REPLACED

    @property
    def sentence(self) -> str:
        """The reason in words, to follow the name of the subject."""
        return _SENTENCES[self]


_SENTENCES = {
    RemovalReason.NAMESPACE_GONE: "its namespace is gone",
    RemovalReason.NAMESPACE_REPLACED: "its namespace was recreated and no binding selects it",
    RemovalReason.ACCOUNT_GONE: "its namespace has no such ServiceAccount",
    RemovalReason.NOT_BOUND: "no binding wants it in this role",
    RemovalReason.EXTERNAL_ROLE: "its annotation names a role that no binding lists",
    RemovalReason.OTHER_ROLE: "its annotation names another role of its binding, which trusts it",
}

Shown = tuple["LiveNamespace | None", "Account | None"]
"""A namespace and its ServiceAccount as the API server showed them; None where there is none."""


def removal_reason(  # noqa: PLR0913  all that decides it
    role: RoleArn | None,
    subject: Subject,
    shown: Shown,
    bindings: tuple[Binding, ...],
    *,
    associated: bool = False,
    former_uid: str | None = None,
    may_still_come: bool = False,
    trusted_by: Callable[[RoleArn], bool] = lambda _: False,
) -> RemovalReason | None:
    """Why `subject` does not keep `role`. None where it does: a binding wants that, or it may still need the role.

    `associated`: it has the role by an association, not by the role's trust policy. `role` is None for one that no
    binding can name. `former_uid` is the uid of the namespace of that name that was last selected, where known.
    `may_still_come`: the namespace is so new that a missing ServiceAccount says nothing. `trusted_by` answers
    whether another role of ours trusts the subject.
    """
    namespace, account = shown
    if namespace is None:
        return RemovalReason.NAMESPACE_GONE
    # A terminating namespace may need what it has until it is gone, but only if a binding selects it.
    seen = account or Account(subject.namespace, subject.service_account)
    decision = decide_existing(seen, namespace.staying(), bindings)
    if not isinstance(decision, Grant):
        return _reason_without_grant(decision, namespace, is_another=former_uid not in {None, namespace.uid})
    if namespace.terminating:
        return None
    if not _gives(decision, role, associated=associated):
        return RemovalReason.NOT_BOUND
    if account is None:
        return None if may_still_come else RemovalReason.ACCOUNT_GONE
    other = decision.annotated
    if associated or other is None or other == role:
        return None
    return RemovalReason.OTHER_ROLE if trusted_by(other) else None


def _gives(grant: Grant, role: RoleArn | None, *, associated: bool) -> bool:
    """Whether the binding gives the role in this way, or did before its mode was changed, so that pods may use it.

    Pods keep what they started with. From associations to trust: removing an association costs running pods their
    access, because EKS prefers it to the annotation. So only `migrate` removes it, when it can replace the pods.
    From trust to associations: pods may still use the role by its trust policy where the annotation names it.
    """
    binding = grant.binding
    if associated:
        return binding.associates or role in binding.roles
    return role in binding.roles and (binding.names_subjects or (binding.associates and grant.annotated == role))


def _reason_without_grant(
    decision: Ignore | Refuse, namespace: LiveNamespace, *, is_another: bool
) -> RemovalReason | None:
    reason = decision.reason if isinstance(decision, Ignore) else IgnoreReason.EXTERNAL_ROLE
    if reason is IgnoreReason.BEING_DELETED:
        return None  # what is being deleted may need AWS to get there
    if reason is IgnoreReason.EXTERNAL_ROLE and not (namespace.terminating and is_another):
        return None if namespace.terminating else RemovalReason.EXTERNAL_ROLE
    return RemovalReason.NAMESPACE_REPLACED if is_another else RemovalReason.NOT_BOUND


@dataclass(frozen=True, slots=True)
class PruneRules:
    """When an unused subject is removed, and how many are at most."""

    grace: float
    """Seconds for which a subject must have been seen unused. `controller.unused` says from when they count."""
    fraction: float
    """The part of all subjects that may be removed within an hour."""

    def limit(self, subjects: int, removed: int) -> int:
        """How many may be removed within an hour, where `subjects` are there and `removed` were there."""
        return max(_ALWAYS_ALLOWED, int(self.fraction * (subjects + removed)))

    def left(self, subjects: int, removed: int) -> int:
        """How many more may be removed now."""
        return max(self.limit(subjects, removed) - removed, 0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the running program will do about removals once their grace is over."""

    due: int
    """How many count against the limit and are not being removed already."""
    allowed: int
    """How many more may be removed now."""

    @property
    def waiting(self) -> int:
        """How many wait for an hour's limit, or for a person."""
        return max(self.due - self.allowed, 0)
