"""Where a subject belongs: in the role that its annotation names, unless another role of its binding trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from webhook.model.removal import RemovalReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Account, Grant, LiveNamespace
    from webhook.model.names import RoleArn, Subject


class Wishes(Protocol):
    """What the cluster says, which knows nothing of trust."""

    @property
    def in_touch(self) -> bool:
        """Whether every list has been read, and no list or watch has failed since its last news."""

    @property
    def synced(self) -> bool:
        """Whether every list has been read once."""

    def is_behind_a_live_read(self, name: str) -> bool:
        """Whether a binding selects the namespace by a live read just now, which the watch has not shown yet."""

    def grants_of(self, role: RoleArn) -> Iterable[Grant]:
        """The grants that are for `role` for certain: annotated with it, or bound to it alone."""

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of the namespace of `subject` is fresh: by the watch, or by a live read."""

    def is_young(self, namespace: str) -> bool:
        """Whether a namespace is so new that its ServiceAccount may still come."""

    def cached(self, name: str) -> LiveNamespace | None:
        """The namespace as the watch last showed it."""

    def account(self, subject: Subject) -> Account | None:
        """The ServiceAccount as the watch last showed it."""

    def cause_to_leave(
        self,
        role: RoleArn,
        subject: Subject,
        namespace: LiveNamespace | None,
        account: Account | None,
        trusted_by: Callable[[RoleArn], bool],
    ) -> RemovalReason | None:
        """Why `subject` is not wanted in `role`, or None where it is, by its namespace and ServiceAccount."""


class DesiredState:
    """The `Demand` of a program: what the cluster wishes, with nobody in two roles of one binding."""

    def __init__(self, wishes: Wishes, writers: Mapping[RoleArn, RoleWriter]) -> None:
        self._wishes = wishes
        self._writers = writers

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        """Who belongs into `role` and is trusted in no other role of the binding.

        As long as another of them has not been looked at, nobody knows: those wait for their grant, which looks
        first.
        """
        return [grant.subject for grant in self._wishes.grants_of(role) if self._is_nowhere_else(role, grant)]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""
        return self._wishes.may_want(role, subject)

    def may_leave(self, role: RoleArn, subject: Subject) -> bool:
        """Whether nobody wants `subject` in `role` by now, so that an approved removal may be done.

        A cache that is out of touch does not know that.
        """
        return self._wishes.in_touch and self.seems_unused(role, subject)

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:
        """Whether no binding uses `subject` in `role` by what was last shown, however long ago that was."""
        if not self._wishes.synced or self._wishes.is_behind_a_live_read(subject.namespace):
            return False
        cause = self.cause_to_leave(role, subject)
        if cause is RemovalReason.ACCOUNT_GONE:
            return not self._wishes.is_young(subject.namespace)
        return cause is not None

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of the namespace of `subject` is fresh enough to write it where it is not yet."""
        return self._wishes.may_add(subject)

    def is_another(self, role: RoleArn, subject: Subject) -> bool:
        """Whether the namespace was made anew, and nothing selects it: whoever did that inherits no trust."""
        return self.cause_to_leave(role, subject) is RemovalReason.NAMESPACE_REPLACED

    def cause_to_leave(self, role: RoleArn, subject: Subject) -> RemovalReason | None:
        """Why `subject` is not wanted in `role` by what was last shown, or None where it is."""
        return self.cause_by(role, subject, self._wishes.cached(subject.namespace), self._wishes.account(subject))

    def cause_by(
        self, role: RoleArn, subject: Subject, namespace: LiveNamespace | None, account: Account | None
    ) -> RemovalReason | None:
        """The same, by a namespace and a ServiceAccount that the API server has just shown."""
        return self._wishes.cause_to_leave(
            role, subject, namespace, account, lambda other: self._trusts(other, subject)
        )

    def _trusts(self, role: RoleArn, subject: Subject) -> bool:
        writer = self._writers.get(role)
        return writer is not None and writer.trusts(subject) is not None

    def _is_nowhere_else(self, role: RoleArn, grant: Grant) -> bool:
        others = (self._writers[other] for other in grant.binding.roles if other != role)
        return all(other.has_looked and not other.trusts(grant.subject) for other in others)
