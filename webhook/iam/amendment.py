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
        """Whether it trusts a subject that was neither in the policy nor to be kept."""
        return any(verdict.standing is Standing.ADDED for verdict in self.verdicts.values())

    def finds_no_room_for(self, subject: Subject) -> bool:
        """Whether `subject`, which was asked for, does not fit."""
        return self.verdicts[subject].standing is Standing.NO_ROOM


class Amending:
    """An amendment under way: each subject that is asked for is judged by those before it.

    First come, first served, up to `quota` characters. A subject in the statement or in `keep` is never dropped
    for room. One that an external statement allows already takes no room, nor does one that a Deny denies. Each
    question costs the same however many were asked before. `external` are the policy's, where they were prepared
    before.
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
        # Each addition renders the statement again: how IAM stores it (a lone subject unwrapped) does not count.
        without = policy.with_subjects(own, ())
        self._used = (without.with_subjects(own, self._trusted) if self._trusted else without).size()
        self._statement: int | None = None
        """Characters that the first subject brings along beside itself."""
        self._verdicts: dict[Subject, Verdict] = {}

    def ask(self, subject: Subject) -> None:
        """Trust `subject` too, where that is needed and it fits."""
        verdict, cost = self._judge(subject)
        if verdict.standing is Standing.ADDED:
            self._trusted.add(subject)
            self._used += cost
        self._verdicts.setdefault(subject, verdict)

    def verdict(self, subject: Subject) -> Verdict:
        """What becomes of `subject`, or would if it were asked for now."""
        return self._verdicts.get(subject) or self._judge(subject)[0]

    def amendment(self) -> Amendment:
        """The policy with all that were asked for and fit."""
        return Amendment(self._policy.with_subjects(self._own, self._trusted), self._verdicts)

    def _judge(self, subject: Subject) -> tuple[Verdict, int]:
        said = self._external.say_of(subject)
        if said.denial is not None:
            return Verdict(Standing.DENIED, said.denial), 0
        if subject in self._trusted:
            return Verdict(Standing.KEPT, possible_denial=said.possible_denial), 0
        if said.grant is not None:
            return Verdict(Standing.EXTERNAL, said.grant, said.possible_denial), 0
        cost = self._cost(subject)
        if self._used + cost > self._quota:
            return Verdict(Standing.NO_ROOM), cost
        return Verdict(Standing.ADDED, possible_denial=said.possible_denial), cost

    def _cost(self, subject: Subject) -> int:
        """Characters that one subject more takes; the first brings the statement along."""
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
    """Trust in our statement all that are in it or in `keep`, and of `asked` those that need it and fit.

    `external` as for Amending.
    """
    amending = Amending(policy, own, keep, quota, external)
    for subject in asked:
        amending.ask(subject)
    return amending.amendment()


def room(policy: TrustPolicy, own: OwnStatement, quota: int) -> int:
    """How many subjects more fit into `quota` characters.

    They are taken to be as long as those in our statement are on average; where there are none, as long as a
    control plane's.
    """
    subjects = policy.subjects(own)
    used = policy.with_subjects(own, ()).with_subjects(own, subjects).size()
    if subjects:
        each = sum(len(str(subject)) + _QUOTES_AND_COMMA for subject in subjects)
        return max(0, (quota - used) * len(subjects) // each)
    used = policy.with_subjects(own, [_TYPICAL]).size()
    return max(0, 1 + (quota - used) // (len(str(_TYPICAL)) + _QUOTES_AND_COMMA))
