"""Whether a role lets EKS assume it for the pods of its bindings, as far as its writer knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.coordination.recent_writes import REMEMBERED
from webhook.iam.reasons import denied
from webhook.model.outcomes import Outcome, Trusted, TrustSource
from webhook.runtime.pending_grant import PendingGrant

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.model.outcomes import Untrusted


class PodTrust:
    """The part of a role's trust that no subject has a share in: there, or written with the next cycle.

    Each policy that the writer sends has our statements for pods, so there is nothing to add to a write.
    """

    def __init__(self, role: RoleArn, own: Callable[[], OwnStatement]) -> None:
        self.proof: TrustSource | None = None
        self._role = role
        self._own = own
        """Asked in a cycle only: before, the cluster may not be known."""
        self._ticket: PendingGrant | None = None
        self._written: float | None = None
        self._settled_write: float | None = None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self._ticket is not None

    @property
    def written_lately(self) -> bool:
        """Whether a read may be too old to show it."""
        return self._written is not None and _now() - self._written < REMEMBERED

    def wait(self) -> PendingGrant:
        """The one ticket of all who wait."""
        self._ticket = self._ticket or PendingGrant()
        return self._ticket

    def lacking(self, policy: TrustPolicy) -> bool:
        """Whether a policy lacks it, or has what is to go, and not because it was read too early."""
        is_right = policy.lets_pods_in(self._own()) and not policy.has_former(self._own())
        return not is_right and not self.written_lately

    def is_new(self, before: TrustPolicy) -> bool:
        """Whether it was not in the policy that was read, and never known to be there."""
        return self.proof is None and not before.lets_pods_in(self._own())

    def wrote(self) -> None:
        """A policy was written, with it, and without what was to go."""
        own = self._own()
        if own.pods or own.former:
            self._written = _now()

    def settle(self, policy: TrustPolicy) -> None:
        """Answer who waits after a cycle that read `policy`, and wrote it where that was needed."""
        place = policy.denial_of_pods(self._own())
        new = self._written != self._settled_write
        self._settled_write = self._written
        self.proof = None if place or not self._own().pods else TrustSource.ALREADY
        if place:
            self._answer(denied(self._role, place))
        else:
            self._answer(Trusted(self._role, TrustSource.WRITTEN if new else TrustSource.ALREADY))

    def fail(self, failure: Untrusted) -> None:
        """A cycle failed: bad news, or the end where only a person can help."""
        if failure.kind.is_final:
            self._answer(failure)
        elif self._ticket:
            self._ticket.fail(failure)

    def _answer(self, outcome: Outcome) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket:
            ticket.settle(outcome)


def _now() -> float:
    return asyncio.get_running_loop().time()
