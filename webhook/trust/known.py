"""What is known of one role's trust policy without asking AWS, as last read or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.domain.amendment import Standing
from webhook.trust.outcomes import Proof

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from webhook.domain.amendment import Amendment
    from webhook.domain.names import Subject
    from webhook.domain.statement import OwnStatement
    from webhook.domain.trust_policy import TrustPolicy


class KnownTrust:
    """The policy and whom it trusts. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._trusted: dict[Subject, Proof] = {}
        self.policy: TrustPolicy | None = None
        """None before the first look."""
        self.subjects: frozenset[Subject] = frozenset()
        """Who is in our statement; nobody before the first look."""
        self.room = 0
        """How many ServiceAccounts more fit."""
        self.read_at = float("-inf")

    @property
    def trusted(self) -> AbstractSet[Subject]:
        """Whom the role is known to trust, by whichever statement."""
        return self._trusted.keys()

    def proof(self, subject: Subject) -> Proof | None:
        """How the role is known to trust `subject`, or None."""
        return self._trusted.get(subject)

    def learn(
        self, own: OwnStatement, amendment: Amendment, written_lately: frozenset[Subject], now: float
    ) -> None:
        """Take the policy as it is now; who was written lately counts though a read may not show it."""
        self.policy, self.read_at = amendment.policy, now
        self.subjects = amendment.policy.subjects(own)
        self._trusted = dict.fromkeys(self.subjects | written_lately, Proof.ALREADY)
        for subject, verdict in amendment.verdicts.items():
            if verdict.standing is Standing.FOREIGN:
                self._trusted[subject] = Proof.FOREIGN
            elif verdict.standing is Standing.DENIED:
                self._trusted.pop(subject, None)

    def hear_of(self, subject: Subject) -> None:
        """Another replica has written it."""
        self._trusted.setdefault(subject, Proof.ALREADY)
