"""Adding subjects to a trust policy: which are added, which are trusted already, which do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.iam.external import ExternalStatements
from webhook.iam.trust_policy import QUOTES_AND_COMMA
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, TrustPolicy

DEFAULT_QUOTA = 2048
"""Characters of a trust policy where the account's quota cannot be read (IAM quota L-C07B4B0D, its default)."""

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
    adds_any: bool
    """Whether it trusts a subject that was neither in the policy nor in `keep`."""

    def finds_no_room_for(self, subject: Subject) -> bool:
        """Whether `subject`, which was asked for, does not fit."""
        return self.verdicts[subject].standing is Standing.NO_ROOM


class Amending:
    """An amendment under way: subjects are asked for one after another, first come, first served.

    They fit up to `quota` characters. A subject in our statement or in `keep` is never dropped for room. A subject
    that an external statement allows or denies takes no room. Each question costs the same, however many were
    asked before. `external` are the policy's external statements, where they were prepared before. None of
    `removed` is trusted, nor may be asked for.
    """

    def __init__(  # noqa: PLR0913, PLR0917  as `amend`
        self,
        policy: TrustPolicy,
        own: OwnStatement,
        keep: frozenset[Subject],
        quota: int,
        external: ExternalStatements | None = None,
        removed: frozenset[Subject] = frozenset(),
    ) -> None:
        self._policy = policy
        self._own = own
        self._external = external or ExternalStatements(policy, own)
        self._quota = quota
        self._trusted = set((policy.subjects(own) | keep) - removed)
        self._used = policy.size_without_subjects(own) + sum(map(_size, self._trusted))
        self._adds_any = False
        self._verdicts: dict[Subject, Verdict] = {}

    def ask(self, subject: Subject) -> None:
        """Trust `subject` too, where that is needed and it fits."""
        size = _size(subject)
        verdict = self._judge(subject, size)
        if verdict.standing is Standing.ADDED:
            self._adds_any = True
            self._trusted.add(subject)
            self._used += size
        self._verdicts.setdefault(subject, verdict)

    def verdict(self, subject: Subject) -> Verdict:
        """The verdict on `subject`, or what it would be if it were asked for now."""
        return self._verdicts.get(subject) or self._judge(subject, _size(subject))

    def amendment(self) -> Amendment:
        """The policy with all that were asked for and fit."""
        amended = self._policy.with_subjects(self._own, self._trusted)
        return Amendment(amended, self._verdicts, self._adds_any)

    def _judge(self, subject: Subject, size: int) -> Verdict:
        effects = self._external.effects_on(subject)
        if effects.denial is not None:
            return Verdict(Standing.DENIED, effects.denial)
        if subject in self._trusted:
            return Verdict(Standing.KEPT, possible_denial=effects.possible_denial)
        if effects.grant is not None:
            return Verdict(Standing.EXTERNAL, effects.grant, effects.possible_denial)
        if self._used + size > self._quota:
            return Verdict(Standing.NO_ROOM)
        return Verdict(Standing.ADDED, possible_denial=effects.possible_denial)


def amend(  # noqa: PLR0913, PLR0917  each is a part of the question
    policy: TrustPolicy,
    own: OwnStatement,
    keep: frozenset[Subject],
    asked: Iterable[Subject],
    quota: int,
    external: ExternalStatements | None = None,
    removed: frozenset[Subject] = frozenset(),
) -> Amendment:
    """Have our statement trust all that it names, all of `keep`, and those of `asked` that need it and fit.

    None of `removed` is trusted. `external` as for Amending.
    """
    amending = Amending(policy, own, keep, quota, external, removed)
    for subject in asked:
        if subject not in removed:
            amending.ask(subject)
    return amending.amendment()


def room(policy: TrustPolicy, own: OwnStatement, quota: int) -> int:
    """How many subjects more fit into `quota` characters.

    Each counts as long as the subjects in our statement are on average, or, where there are none, as a control
    plane's.
    """
    sizes = [_size(subject) for subject in policy.subjects(own)]
    free = quota - policy.size_without_subjects(own) - sum(sizes)
    return max(0, free * len(sizes) // sum(sizes) if sizes else free // _size(_TYPICAL))


def _size(subject: Subject) -> int:
    """Characters that it takes in our statement."""
    return len(str(subject)) + QUOTES_AND_COMMA
