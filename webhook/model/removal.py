"""Why a subject that our statement in a role trusts is not wanted there, by what the cluster says now."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.decisions import Account, Grant, Ignore, IgnoreReason, decide_existing

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.model.bindings import Binding
    from webhook.model.decisions import LiveNamespace
    from webhook.model.names import RoleArn, Subject


class RemovalReason(StrEnum):
    """Why a subject is to leave a role."""

    NAMESPACE_GONE = "namespace_gone"
    NAMESPACE_REPLACED = "namespace_replaced"
    """The namespace was recreated, and is not selected: who recreated it inherits no trust."""
    ACCOUNT_GONE = "account_gone"
    """Also where there never was a ServiceAccount: its creation was rejected after our answer."""
    NOT_BOUND = "not_bound"
    """No binding that lists the role selects it: a label or a binding was removed."""
    FOREIGN_ROLE = "foreign_role"
    """Its annotation names a role that no binding lists."""
    OTHER_ROLE = "other_role"
    """Its annotation names another role of its binding, which trusts it."""

    @property
    def is_deletion(self) -> bool:
        """Whether the namespace that was trusted is no more."""
        return self in {RemovalReason.NAMESPACE_GONE, RemovalReason.NAMESPACE_REPLACED}

    @property
    def waits_for_grace(self) -> bool:
        """Whether it may be a mistake or a moment between two steps, so that removal waits."""
        return self is not RemovalReason.NAMESPACE_REPLACED

    @property
    def sentence(self) -> str:
        """The cause in words, to follow the name of the subject."""
        return _SENTENCES[self]


_SENTENCES = {
    RemovalReason.NAMESPACE_GONE: "its namespace is gone",
    RemovalReason.NAMESPACE_REPLACED: "its namespace was recreated and no binding selects it",
    RemovalReason.ACCOUNT_GONE: "its namespace has no such ServiceAccount",
    RemovalReason.NOT_BOUND: "no binding wants it in this role",
    RemovalReason.FOREIGN_ROLE: "its annotation names a role that its binding does not list",
    RemovalReason.OTHER_ROLE: "its annotation names another role of its binding, which trusts it",
}


def cause_to_dissociate(  # noqa: PLR0913  all that decides it
    role: RoleArn | None,
    subject: Subject,
    namespace: LiveNamespace | None,
    account: Account | None,
    bindings: tuple[Binding, ...],
    *,
    former_uid: str | None,
) -> RemovalReason | None:
    """Why `subject` is not wanted associated with `role`, or None where it is, or may still need it.

    `role` is None for one that no binding can name. `former_uid` is the uid of the namespace of that name that was
    last selected, where that is known.
    """
    grant = _grant_or_cause(subject, namespace, account, bindings, former_uid)
    if not isinstance(grant, Grant):
        return grant
    if not grant.binding.may_be_associated(role):
        return RemovalReason.NOT_BOUND
    return RemovalReason.ACCOUNT_GONE if account is None else None


def was_replaced(
    subject: Subject,
    namespace: LiveNamespace | None,
    account: Account | None,
    bindings: tuple[Binding, ...],
    *,
    former_uid: str | None,
) -> bool:
    """Whether the namespace was recreated, and no binding selects it, whatever the subject has now."""
    return _grant_or_cause(subject, namespace, account, bindings, former_uid) is RemovalReason.NAMESPACE_REPLACED


def cause_of_removal(  # noqa: PLR0913  all that decides it
    role: RoleArn,
    subject: Subject,
    namespace: LiveNamespace | None,
    account: Account | None,
    bindings: tuple[Binding, ...],
    *,
    former_uid: str | None,
    trusted_by: Callable[[RoleArn], bool],
) -> RemovalReason | None:
    """Why `subject` is not wanted in `role`, or None where it is, or may still need it.

    `former_uid` is the uid of the namespace of that name that was last selected, where that is known;
    `trusted_by` tells whether another role of ours trusts the subject.
    """
    grant = _grant_or_cause(subject, namespace, account, bindings, former_uid)
    if not isinstance(grant, Grant):
        return grant
    if grant.binding.may_use(role, grant.annotated):
        return None
    if not grant.binding.names_subjects or role not in grant.binding.roles:
        return RemovalReason.NOT_BOUND
    if account is None:
        return RemovalReason.ACCOUNT_GONE
    other = grant.annotated
    return RemovalReason.OTHER_ROLE if other is not None and other != role and trusted_by(other) else None


def _grant_or_cause(
    subject: Subject,
    namespace: LiveNamespace | None,
    account: Account | None,
    bindings: tuple[Binding, ...],
    former_uid: str | None,
) -> Grant | RemovalReason | None:
    """What a binding gives the subject; else why none does, or None where it may still need what it has."""
    if namespace is None:
        return RemovalReason.NAMESPACE_GONE
    seen = account or Account(subject.namespace, subject.service_account)
    # Only what a binding selects may still need its trust: deleting a namespace brings back none.
    decision = decide_existing(seen, namespace.staying(), bindings)
    if isinstance(decision, Grant):
        return None if namespace.terminating else decision
    reason = decision.reason if isinstance(decision, Ignore) else IgnoreReason.FOREIGN_ROLE
    if reason is IgnoreReason.BEING_DELETED:
        return None  # what is being deleted may need AWS to get there
    is_another = former_uid not in {None, namespace.uid}
    if reason is IgnoreReason.FOREIGN_ROLE and not (namespace.terminating and is_another):
        return None if namespace.terminating else RemovalReason.FOREIGN_ROLE
    return RemovalReason.NAMESPACE_REPLACED if is_another else RemovalReason.NOT_BOUND
