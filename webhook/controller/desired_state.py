"""What the cluster wants: each subject in the role that its annotation names, and in one role at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.model.removal import RemovalReason, removal_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.controller.cluster_cache import ClusterCache
    from webhook.iam.role_writer import RoleWriter
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.model.removal import Shown


class DesiredState:
    """The `Demand` of a program, by the cluster and by what each role is known to trust.

    Without `writers` it answers for associations alone, which no other role's trust matters to.
    """

    def __init__(self, cluster: ClusterCache, writers: Mapping[RoleArn, RoleWriter] | None = None) -> None:
        self._cluster = cluster
        self._writers = {} if writers is None else writers

    def wanted_in(self, role: RoleArn) -> list[Subject]:
        """The subjects that belong into `role` and are trusted in no other role of the binding.

        As long as another of them has not been read, that is not known: such a subject waits for its grant, which
        reads first.
        """
        return [grant.subject for grant in self._cluster.grants_of(role) if self._is_nowhere_else(role, grant)]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""
        return self._cluster.may_want(role, subject)

    def may_leave(self, role: RoleArn | None, subject: Subject, *, associated: bool = False) -> bool:
        """Whether `subject` is unused in `role` now, so that an approved removal may be done.

        A cache that is out of touch does not know that.
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
        """Whether what is known of the namespace of `subject` is fresh enough to write it where it is not yet."""
        return self._cluster.may_add(subject)

    def wanted_associations(self) -> Mapping[Subject, RoleArn]:
        """The role of each ServiceAccount that is to have an association."""
        return self._cluster.wanted_associations()

    def may_dissociate(self, subject: Subject, role: RoleArn | None) -> bool:
        """Whether the association of `subject` with `role` is unused now, so that it may be deleted."""
        return self.may_leave(role, subject, associated=True)

    def was_replaced(self, subject: Subject) -> bool:
        """Whether its namespace was recreated and no binding selects it: the new one inherits no trust."""
        if self._cluster.former.uid(subject.namespace) is None:
            return False  # as mostly: no binding has selected a namespace of that name before
        return self.removal_reason(None, subject) is RemovalReason.NAMESPACE_REPLACED

    def is_another(self, _: RoleArn, subject: Subject) -> bool:
        """The same, as the port Demand asks for it."""
        return self.was_replaced(subject)

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
        writer = self._writers.get(role)
        return writer is not None and writer.trusts(subject) is not None

    def _is_nowhere_else(self, role: RoleArn, grant: Grant) -> bool:
        others = (self._writers[other] for other in grant.binding.roles if other != role)
        return all(other.has_looked and not other.trusts(grant.subject) for other in others)
