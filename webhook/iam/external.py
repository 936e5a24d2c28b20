"""What the external statements of a policy do for each subject: prepared once, worked out once for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.iam.evaluation import allows_by, denies_by
from webhook.iam.statement import ASSUME_WITH_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.iam.evaluation import ByClaim
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, TrustPolicy
    from webhook.model.names import Subject


@dataclass(frozen=True, slots=True)
class Effects:
    """The first external statement that allows a subject, that denies it, and that may deny it."""

    grant: Place | None = None
    denial: Place | None = None
    possible_denial: Place | None = None


_NOTHING = Effects()
_MOST_KNOWN = 20_000
"""Subjects: an EKS cluster has at most 10,000 namespaces or so, and others come and go."""


class ExternalStatements:
    """What a policy's external statements do for each subject, for thousands of them.

    A statement that concerns no subject, such as one for another cluster's provider, is left out from the start.
    """

    def __init__(self, policy: TrustPolicy, own: OwnStatement) -> None:
        self._allowing: list[tuple[Place, ByClaim]] = []
        self._denying: list[tuple[Place, ByClaim]] = []
        self._known: dict[Subject, Effects] = {}
        self._statements = policy.external(own)
        asked = "Federated", own.provider_arn, (ASSUME_WITH_TOKEN,), own.claims_of_all(), own.subject_key.lower()
        for place, statement in self._statements:
            if (test := allows_by(statement, *asked)) is not None:
                self._allowing.append((place, test))
            if (test := denies_by(statement, *asked)) is not None:
                self._denying.append((place, test))

    def are_of(self, policy: TrustPolicy, own: OwnStatement) -> bool:
        """Whether `policy` has the same external statements, so that all that is known holds for it too."""
        return self._statements == policy.external(own)

    def effects_on(self, subject: Subject) -> Effects:
        """What they do for `subject`."""
        if (effects := self._known.get(subject)) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            effects = self._known[subject] = self._work_out(str(subject))
        return effects

    def _work_out(self, claim: str) -> Effects:
        if not (self._allowing or self._denying):
            return _NOTHING
        grant = next((place for place, allows in self._allowing if allows(claim)), None)
        denials = [(place, answer) for place, denies in self._denying if (answer := denies(claim)) is not False]
        return Effects(grant, _first(denials, certainly=True), _first(denials, certainly=None))


def _first(denials: Iterable[tuple[Place, bool | None]], *, certainly: bool | None) -> Place | None:
    return next((place for place, answer in denials if answer is certainly), None)
