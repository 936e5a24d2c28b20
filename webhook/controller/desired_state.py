"""What the cluster wants of the roles: each subject in the role that its annotation names, and in one at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.model.removal import RemovalReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.iam.policy_cache import PolicyCache
    from webhook.model.decisions import Account, Grant, LiveNamespace
    from webhook.model.names import RoleArn, Subject


class DesiredState:
    """The DesiredSubjects of a program, by the cluster and by what each role is known to trust."""

    def __init__(self, cluster: ClusterCache, policies: Mapping[RoleArn, PolicyCache]) -> None:
        self._cluster = cluster
        self._policies = policies

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        """The subjects that belong into `role` and are trusted in no other role of the binding.

        As long as another of them has not been read, that is not known: such a subject waits for its grant, which
        reads first.
        """
        grants = list(self._cluster.grants_of(role))
        return [grant.subject for grant in grants if self._is_nowhere_else(role, grant)]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""
        return self._cluster.may_want(role, subject)

    def may_remove(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` is unused in `role` now, so that an approved removal may be done.

        A cache that is out of touch does not know that.
        """
        return self._cluster.in_touch and self.seems_unused(role, subject)

    def seems_unused(self, role: RoleArn, subject: Subject) -> bool:
        """Whether no binding uses `subject` in `role` by what was last shown, however long ago that was."""
        if not self._cluster.synced or self._cluster.is_behind_a_live_read(subject.namespace):
            return False
        cluster = self._cluster
        cause = self.cause_by(role, subject, cluster.cached(subject.namespace), cluster.account(subject))
        if cause is RemovalReason.ACCOUNT_GONE:
            return not cluster.is_young(subject.namespace)
        return cause is not None

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of the namespace of `subject` is fresh enough to write it where it is not yet."""
        return self._cluster.may_add(subject)

    def was_replaced(self, subject: Subject) -> bool:
        """Whether its namespace was recreated and no binding selects it: the new one inherits no trust."""
        if self._cluster.former.uid(subject.namespace) is None:
            return False  # as mostly: no binding has selected a namespace of that name before
        return self._cluster.was_replaced(subject)

    def cause_by(
        self, role: RoleArn, subject: Subject, namespace: LiveNamespace | None, account: Account | None
    ) -> RemovalReason | None:
        """Why `subject` is not wanted in `role`, or None where it is, by its namespace and ServiceAccount."""
        return self._cluster.cause_to_leave(
            role, subject, namespace, account, lambda other: self._trusts(other, subject)
        )

    def _trusts(self, role: RoleArn, subject: Subject) -> bool:
        known = self._policies.get(role)
        return known is not None and known.trusts(subject) is not None

    def _is_nowhere_else(self, role: RoleArn, grant: Grant) -> bool:
        others = (self._policies[other] for other in grant.binding.roles if other != role)
        return all(other.synced.is_set() and not other.trusts(grant.subject) for other in others)
