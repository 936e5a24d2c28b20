"""What is known of one role's trust policy without asking AWS, as last read or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.iam.amendment import Standing
from webhook.iam.reasons import may_be_denied
from webhook.model.outcomes import Trusted, TrustSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from webhook.iam.amendment import Amendment
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject


class KnownTrust:
    """The policy and whom it trusts. Times are seconds on one clock.

    `own` answers our statement; it is asked only once a policy was read.
    """

    def __init__(self, role: RoleArn, own: Callable[[], OwnStatement]) -> None:
        self._role = role
        self._own = own
        self._trusted: dict[Subject, TrustSource] = {}
        self._doubtful: TrustPolicy | None = None
        """The policy, where it has a Deny that may be about somebody."""
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

    def trust(self, subject: Subject) -> Trusted | None:
        """How the role is known to trust `subject`, and what speaks against it; None where it does not."""
        proof = self._trusted.get(subject)
        if proof is None:
            return None
        place = self._doubtful.possible_denial(self._own(), subject) if self._doubtful else None
        return Trusted(self._role, proof, may_be_denied(self._role, place) if place else "")

    def doubt_of_pods(self, binding: str, namespace: str) -> str:
        """What may keep EKS from assuming the role for pods there, in a sentence; empty for nothing."""
        if self.policy is None or (statement := self._own().for_pods_of(binding)) is None:
            return ""
        place = self.policy.possible_denial_of_pod(statement.claims_in(namespace))
        return may_be_denied(self._role, place) if place else ""

    def learn(self, amendment: Amendment, written_lately: frozenset[Subject], now: float) -> None:
        """Take the policy as it is now; who was written lately counts though a read may not show it."""
        self.policy, self.read_at = amendment.policy, now
        own = self._own()
        self._doubtful = amendment.policy if amendment.policy.may_deny_some(own) else None
        self.subjects = amendment.policy.subjects(own)
        self._trusted = dict.fromkeys(self.subjects | written_lately, TrustSource.ALREADY)
        for subject, verdict in amendment.verdicts.items():
            if verdict.standing is Standing.FOREIGN:
                self._trusted[subject] = TrustSource.FOREIGN
            elif verdict.standing is Standing.DENIED:
                self._trusted.pop(subject, None)

    def hear_of(self, subject: Subject) -> None:
        """Another replica has written it."""
        self._trusted.setdefault(subject, TrustSource.ALREADY)

    def hear_of_removal(self, subject: Subject) -> None:
        """Another replica has removed it: the next read says whether some statement still trusts it."""
        self._trusted.pop(subject, None)
