"""Adding subjects to a trust policy: who is added, who needs nothing, who cannot be helped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.domain.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.domain.statement import OwnStatement
    from webhook.domain.trust_policy import Place, TrustPolicy

DEFAULT_QUOTA = 2048
"""Characters of a trust policy where the account's quota cannot be read (IAM quota L-C07B4B0D, its default)."""

_QUOTES_AND_COMMA = 3

_TYPICAL = Subject("mxp-00000000-0000-0000-0000-000000000000-system", "mxp-controller")
"""As long as the subject of every control plane that Spaces makes."""


class Standing(StrEnum):
    """Where a subject stands with a policy, once the amended policy is in force."""

    KEPT = "kept"
    ADDED = "added"
    FOREIGN = "foreign"
    DENIED = "denied"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A subject's standing, and the foreign statement that decides it, if one does."""

    standing: Standing
    place: Place | None = None
    possible_denial: Place | None = None
    """A foreign statement that may deny it all the same, where it counts as trusted."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """The policy to write, and the verdict on each subject that was asked for."""

    policy: TrustPolicy
    verdicts: Mapping[Subject, Verdict]

    @property
    def adds_someone(self) -> bool:
        """Whether it trusts a subject that was neither in the policy nor to be kept."""
        return any(verdict.standing is Standing.ADDED for verdict in self.verdicts.values())

    def finds_no_room_for(self, subject: Subject) -> bool:
        """Whether `subject`, which was asked for, does not fit."""
        return self.verdicts[subject].standing is Standing.NO_ROOM


def amend(
    policy: TrustPolicy,
    own: OwnStatement,
    keep: frozenset[Subject],
    asked: Iterable[Subject],
    quota: int,
) -> Amendment:
    """Trust in our statement everyone in it, everyone in `keep`, and of `asked` who needs it and fits.

    First come, first served, up to `quota` characters. Who is in the statement or in `keep` is never dropped
    for room. Who a foreign statement lets in already takes no room, nor does who a Deny keeps out.
    """
    trusted = set(policy.subjects(own) | keep)
    # Adding anyone writes the statement anew: IAM's way of storing it (a lone subject unwrapped) does not count.
    used = policy.with_subjects(own, ()).with_subjects(own, trusted).size()
    verdicts: dict[Subject, Verdict] = {}
    for subject in asked:
        verdict = _without_adding(policy, own, trusted, subject)
        if verdict is None:
            cost = _cost(policy, own, subject, used=used, first=not trusted)
            if used + cost > quota:
                verdict = Verdict(Standing.NO_ROOM)
            else:
                verdict = Verdict(Standing.ADDED, possible_denial=policy.possible_denial(own, subject))
                trusted.add(subject)
                used += cost
        verdicts.setdefault(subject, verdict)
    return Amendment(policy.with_subjects(own, trusted), verdicts)


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


def _without_adding(
    policy: TrustPolicy, own: OwnStatement, trusted: set[Subject], subject: Subject
) -> Verdict | None:
    if (place := policy.denial(own, subject)) is not None:
        return Verdict(Standing.DENIED, place)
    if subject in trusted:
        return Verdict(Standing.KEPT, possible_denial=policy.possible_denial(own, subject))
    if (place := policy.foreign_grant(own, subject)) is not None:
        return Verdict(Standing.FOREIGN, place, policy.possible_denial(own, subject))
    return None


def _cost(policy: TrustPolicy, own: OwnStatement, subject: Subject, *, used: int, first: bool) -> int:
    """Characters that one subject more takes; the first brings the statement along."""
    if first:
        return policy.with_subjects(own, [subject]).size() - used
    return len(str(subject)) + _QUOTES_AND_COMMA
