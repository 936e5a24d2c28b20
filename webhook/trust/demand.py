"""Where a subject belongs: in the role that its annotation names, unless another role of its binding trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.domain.decisions import Grant
    from webhook.domain.names import RoleArn, Subject
    from webhook.trust.writer import RoleWriter


class Wishes(Protocol):
    """What the cluster says, which knows nothing of trust."""

    def grants_of(self, role: RoleArn) -> Iterable[Grant]:
        """The grants that are for `role` for certain: annotated with it, or bound to it alone."""

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether `subject` could be wanted in `role`; False too where that is not known yet."""


class OneRoleEach:
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

    def _is_nowhere_else(self, role: RoleArn, grant: Grant) -> bool:
        others = (self._writers[other] for other in grant.binding.roles if other != role)
        return all(other.has_looked and not other.trusts(grant.subject) for other in others)
