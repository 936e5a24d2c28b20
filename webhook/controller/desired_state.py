"""What the cluster wants: each subject in the role that its annotation names, and in one role at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.model.removal import RemovalReason, removal_reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.iam.policy_cache import PolicyCache
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.model.removal import Shown


class DesiredState:
    """What a program should make AWS trust, by the cluster and by what each role is known to trust."""

    def __init__(self, cluster: ClusterCache, policies: Mapping[RoleArn, PolicyCache]) -> None:
        self._cluster = cluster
        self._policies = policies

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        """The subjects that are wanted in `role` for certain and are trusted in no other role of their binding.

        That is not known while another role of the binding has not been read. Such a subject waits for its grant,
        which reads all of them first.
        """
        grants = self._cluster.grants_of(role)
        return [grant.subject for grant in grants if self._is_nowhere_else(role, grant)]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""
        return self._cluster.may_want(role, subject)

    def may_remove(self, role: RoleArn | None, subject: Subject, *, associated: bool = False) -> bool:
        """Whether `subject` is certainly unused in `role` now, so that an approved removal may be done.

        It is not certain while the watch is out of touch.
        """
        return self._cluster.in_touch and self.seems_unused(role, subject, associated=associated)

    def seems_unused(self, role: RoleArn | None, subject: Subject, *, associated: bool = False) -> bool:
        """Whether no binding uses `subject` in `role` by what was last shown, however long ago that was."""
        cluster = self._cluster
        if not cluster.synced or cluster.is_behind_a_live_read(subject.namespace):
            return False
        reason = self.removal_reason(role, subject, associated=associated)
        if reason is RemovalReason.ACCOUNT_GONE:
            return not cluster.is_young(subject.namespace)
        return reason is not None

    def may_add(self, subject: Subject) -> bool:
        """Whether what is known of its namespace is fresh enough to add `subject` where it is not trusted yet."""
        return self._cluster.may_add(subject)

    def addable_among(self, subjects: Collection[Subject]) -> list[Subject]:
        """Those that may be added."""
        return [one for one in subjects if self._cluster.may_add(one)]

    def wanted_associations(self) -> Mapping[Subject, RoleArn]:
        """The role of each ServiceAccount that is to have an association."""
        return self._cluster.wanted_associations()

    def may_dissociate(self, subject: Subject, role: RoleArn | None) -> bool:
        """Whether the association of `subject` with `role` is unused now, so that it may be deleted."""
        return self.may_remove(role, subject, associated=True)

    def was_replaced(self, subject: Subject) -> bool:
        """Whether its namespace was recreated and no binding selects it: the new one inherits no trust."""
        if self._cluster.former.uid(subject.namespace) is None:
            return False  # as mostly: no binding has selected a namespace of that name before
        return self.removal_reason(None, subject) is RemovalReason.NAMESPACE_REPLACED

    def replaced_among(self, subjects: Collection[Subject]) -> list[Subject]:
        """Those whose namespace was replaced."""
        return [one for one in subjects if self.was_replaced(one)]

    def removal_reason(
        self, role: RoleArn | None, subject: Subject, *, associated: bool = False, live: Shown | None = None
    ) -> RemovalReason | None:
        """Why `subject` does not keep `role`, by what was last shown, or by what the API server shows `live`."""
        return removal_reason(
            role,
            subject,
            live or self._cluster.shown(subject),
            self._cluster.bindings,
            associated=associated,
            former_uid=self._cluster.former.uid(subject.namespace),
            trusted_by=lambda other: self._trusts(other, subject),
        )

    def _trusts(self, role: RoleArn, subject: Subject) -> bool:
        known = self._policies.get(role)
        return known is not None and known.trusts(subject) is not None

    def _is_nowhere_else(self, role: RoleArn, grant: Grant) -> bool:
        others = (self._policies[other] for other in grant.binding.roles if other != role)
        return all(other.synced.is_set() and not other.trusts(grant.subject) for other in others)
