"""What the external statements of a policy do for each subject: prepared once, worked out once for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

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
    """The first statement that certainly allows a subject or pod, that certainly denies it, and that may deny it.

    A Deny wins. Only AWS knows whether a possible one holds.
    """

    grant: Place | None = None
    denial: Place | None = None
    possible_denial: Place | None = None

    @classmethod
    def of(cls, allowed: Iterable[tuple[Place, bool | None]], denied: Iterable[tuple[Place, bool | None]]) -> Self:
        """By what each statement answers; None where it may."""
        grant = next((place for place, answer in allowed if answer), None)
        denials = [(place, answer) for place, answer in denied if answer is not False]
        return cls(
            grant,
            next((place for place, answer in denials if answer), None),
            next((place for place, answer in denials if answer is None), None),
        )


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
        return Effects.of(
            ((place, allows(claim)) for place, allows in self._allowing),
            ((place, denies(claim)) for place, denies in self._denying),
        )
