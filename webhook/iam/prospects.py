"""Whether one more subject fits beside those who wait for a role, at a small and constant cost."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from webhook.iam.amendment import Amending, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.iam.external import ExternalStatements
    from webhook.iam.pending_grants import PendingGrants
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import Subject


class Prospects:
    """The amendment that the next cycle would make of those who wait, worked out a subject at a time.

    It answers as `amend` would for all who wait and then the one in question. It begins again where the policy,
    the recent writes or the quota changed, and where a wait has ended.
    """

    def __init__(self, own: Callable[[], OwnStatement], tickets: PendingGrants) -> None:
        self._own = own
        self._tickets = tickets
        self._base: tuple[TrustPolicy, frozenset[Subject], int, int] | None = None
        self._amending: Amending | None = None
        self._judged = 0

    def has_room_for(
        self,
        subject: Subject,
        policy: TrustPolicy,
        recent: frozenset[Subject],
        quota: int,
        external: ExternalStatements | None = None,
    ) -> bool:
        """Whether `subject` fits into `quota` characters of `policy` with those in `recent` and all who wait.

        `external` are the policy's, as for `amend`.
        """
        amending = self._of_those_waiting(policy, recent, quota, external)
        return amending.verdict(subject).standing is not Standing.NO_ROOM

    def _of_those_waiting(
        self, policy: TrustPolicy, recent: frozenset[Subject], quota: int, external: ExternalStatements | None
    ) -> Amending:
        base = policy, recent, quota, self._tickets.ended
        if self._amending is None or base != self._base:
            self._base, self._judged = base, 0
            self._amending = Amending(policy, self._own(), recent, quota, external)
        if self._judged < len(self._tickets.subjects):
            for subject in islice(self._tickets.subjects, self._judged, None):
                self._amending.ask(subject)
            self._judged = len(self._tickets.subjects)
        return self._amending
