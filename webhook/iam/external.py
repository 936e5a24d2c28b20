"""What the external statements of a policy do: for each subject, for pods, and for what they do not name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from webhook.iam.evaluation import allows, allows_by, denies, denies_by, may_allow_any, unnamed_claims
from webhook.iam.statement import ACTIONS, ASSUME_WITH_TOKEN, SERVICE, TAGS_ASKED_FOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
_UNNAMED = "of-no-name-that-a-statement-has"
_POD_OF_UNNAMED = [{tag.lower(): _UNNAMED} for tag in TAGS_ASKED_FOR]
"""Session tags, one at a time: what else a statement asks for then stays open."""
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
        self._key = own.subject_key.lower()
        self._request = "Federated", own.provider_arn, (ASSUME_WITH_TOKEN,), own.claims_of_all()
        for place, statement in self._statements:
            if (test := allows_by(statement, *self._request, self._key)) is not None:
                self._allowing.append((place, test))
            if (test := denies_by(statement, *self._request, self._key)) is not None:
                self._denying.append((place, test))
        self.concerns_any = bool(self._allowing or self._denying)
        """Whether one of them may concern a subject of this cluster."""

    def are_of(self, policy: TrustPolicy, own: OwnStatement) -> bool:
        """Whether `policy` has the same external statements, so that all that is known holds for it too."""
        return self._statements == policy.external(own)

    def effects_on(self, subject: Subject) -> Effects:
        """What they do for `subject`."""
        if not self.concerns_any:
            return _NOTHING
        if (effects := self._known.get(subject)) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            claim = str(subject)
            effects = self._known[subject] = Effects.of(
                ((place, allows(claim)) for place, allows in self._allowing),
                ((place, denies(claim)) for place, denies in self._denying),
            )
        return effects

    def wide(self) -> list[Place]:
        """Those that allow, or may allow, ServiceAccounts of this cluster, or pods of any, without naming each.

        Nothing revokes such trust. A statement for ServiceAccounts is wide where its subject has a wildcard or is
        not asked for. One for pods is wide unless it asks for namespace, ServiceAccount and cluster, as the
        managed ones do.
        """
        kind, provider, actions, claims = self._request
        return [
            place
            for place, statement in self._statements
            if may_allow_any(
                statement, kind, provider, actions, unnamed_claims(statement, claims, self._key, _UNNAMED)
            )
            or may_allow_any(statement, "Service", SERVICE, ACTIONS, _POD_OF_UNNAMED)
        ]


def effects_on_pod(policy: TrustPolicy, claims: Mapping[str, str]) -> Effects:
    """What a policy's statements, ours and external ones, do for a pod with these session tags, through EKS."""
    request = "Service", SERVICE, ACTIONS, claims
    allowed = ((place, allows(one, *request)) for place, one in policy.placed)
    denied = ((place, denies(one, *request)) for place, one in policy.placed)
    return Effects.of(allowed, denied)


def denial_of_pods(policy: TrustPolicy, own: OwnStatement) -> Place | None:
    """A statement that certainly denies EKS the role for all pods of one of our statements."""
    for place, statement in policy.external(own) if own.pods else ():
        if any(denies(statement, "Service", SERVICE, ACTIONS, one.claims()) for one in own.pods):
            return place
    return None
