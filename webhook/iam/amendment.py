"""Adding subjects to a trust policy: which are added, which are trusted already, which do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.iam.external import ExternalStatements
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, TrustPolicy

DEFAULT_QUOTA = 2048
"""Characters of a trust policy where the account's quota cannot be read (IAM quota L-C07B4B0D, its default)."""

_QUOTES_AND_COMMA = 3

_TYPICAL = Subject("mxp-00000000-0000-0000-0000-000000000000-system", "mxp-controller")
"""As long as the subject of every control plane that Spaces makes."""


class Standing(StrEnum):
    """Where a subject stands with a policy, once the amended policy is in force."""

    KEPT = "kept"
    ADDED = "added"
    EXTERNAL = "external"
    DENIED = "denied"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A subject's standing, and the external statement that decides it, if one does."""

    standing: Standing
    place: Place | None = None
    possible_denial: Place | None = None
    """An external statement that may deny it all the same, where it counts as trusted."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """The policy to write, and the verdict on each subject that was asked for."""

    policy: TrustPolicy
    verdicts: Mapping[Subject, Verdict]

    @property
    def adds_any(self) -> bool:
        """Whether it trusts a subject that was neither in the policy nor in `keep`."""
        return any(verdict.standing is Standing.ADDED for verdict in self.verdicts.values())

    def finds_no_room_for(self, subject: Subject) -> bool:
        """Whether `subject`, which was asked for, does not fit."""
        return self.verdicts[subject].standing is Standing.NO_ROOM


class Amending:
    """An amendment under way: subjects are asked for one after another, first come, first served.

    They fit up to `quota` characters. A subject in our statement or in `keep` is never dropped for room. A subject
    that an external statement allows or denies takes no room. Each question costs the same, however many were
    asked before. `external` are the policy's external statements, where they were prepared before.
    """

    def __init__(
        self,
        policy: TrustPolicy,
        own: OwnStatement,
        keep: frozenset[Subject],
        quota: int,
        external: ExternalStatements | None = None,
    ) -> None:
        self._policy = policy
        self._own = own
        self._external = external or ExternalStatements(policy, own)
        self._quota = quota
        self._trusted = set(policy.subjects(own) | keep)
        # Each addition renders the statement again, so its size counts as rendered, not as IAM stored it.
        without = policy.with_subjects(own, ())
        self._used = (without.with_subjects(own, self._trusted) if self._trusted else without).size()
        self._statement: int | None = None
        """Characters that the first subject needs beside its own: the statement around it."""
        self._verdicts: dict[Subject, Verdict] = {}

    def ask(self, subject: Subject) -> None:
        """Trust `subject` too, where that is needed and it fits."""
        verdict, cost = self._judge(subject)
        if verdict.standing is Standing.ADDED:
            self._trusted.add(subject)
            self._used += cost
        self._verdicts.setdefault(subject, verdict)

    def verdict(self, subject: Subject) -> Verdict:
        """The verdict on `subject`, or what it would be if it were asked for now."""
        return self._verdicts.get(subject) or self._judge(subject)[0]

    def amendment(self) -> Amendment:
        """The policy with all that were asked for and fit."""
        return Amendment(self._policy.with_subjects(self._own, self._trusted), self._verdicts)

    def _judge(self, subject: Subject) -> tuple[Verdict, int]:
        effects = self._external.effects_on(subject)
        if effects.denial is not None:
            return Verdict(Standing.DENIED, effects.denial), 0
        if subject in self._trusted:
            return Verdict(Standing.KEPT, possible_denial=effects.possible_denial), 0
        if effects.grant is not None:
            return Verdict(Standing.EXTERNAL, effects.grant, effects.possible_denial), 0
        cost = self._cost(subject)
        if self._used + cost > self._quota:
            return Verdict(Standing.NO_ROOM), cost
        return Verdict(Standing.ADDED, possible_denial=effects.possible_denial), cost

    def _cost(self, subject: Subject) -> int:
        """Characters that one more subject takes; the first one needs the statement, too."""
        characters = len(str(subject))
        if self._trusted:
            return characters + _QUOTES_AND_COMMA
        if self._statement is None:
            self._statement = self._policy.with_subjects(self._own, [subject]).size() - self._used - characters
        return self._statement + characters


def amend(  # noqa: PLR0913, PLR0917  each is a part of the question
    policy: TrustPolicy,
    own: OwnStatement,
    keep: frozenset[Subject],
    asked: Iterable[Subject],
    quota: int,
    external: ExternalStatements | None = None,
) -> Amendment:
    """Have our statement trust all that it names, all of `keep`, and those of `asked` that need it and fit.

    `external` as for Amending.
    """
    amending = Amending(policy, own, keep, quota, external)
    for subject in asked:
        amending.ask(subject)
    return amending.amendment()


def room(policy: TrustPolicy, own: OwnStatement, quota: int) -> int:
    """How many subjects more fit into `quota` characters.

    Each counts as long as the subjects in our statement are on average, or, where there are none, as a control
    plane's.
    """
    subjects = policy.subjects(own)
    used = policy.with_subjects(own, ()).with_subjects(own, subjects).size()
    if subjects:
        each = sum(len(str(subject)) + _QUOTES_AND_COMMA for subject in subjects)
        return max(0, (quota - used) * len(subjects) // each)
    used = policy.with_subjects(own, [_TYPICAL]).size()
    return max(0, 1 + (quota - used) // (len(str(_TYPICAL)) + _QUOTES_AND_COMMA))
