"""Fitting subjects into a trust policy whose size IAM limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.domain.names import Subject
    from webhook.domain.statement import OwnStatement
    from webhook.domain.trust_policy import TrustPolicy

DEFAULT_QUOTA = 2048
"""Characters of a trust policy where the account's quota cannot be read (IAM quota L-C07B4B0D, its default)."""

_QUOTES_AND_COMMA = 3


@dataclass(frozen=True, slots=True)
class Fitted:
    """A policy that can be written, and what became of each candidate."""

    policy: TrustPolicy
    accepted: frozenset[Subject]
    refused: frozenset[Subject]


def fit(
    policy: TrustPolicy,
    own: OwnStatement,
    keep: frozenset[Subject],
    candidates: Iterable[Subject],
    quota: int,
) -> Fitted:
    """Trust `keep`, and as many of `candidates` as fit into `quota` characters, first come first served.

    `keep` is trusted whatever its size: who is trusted already is never dropped for room.
    """
    accepted = set(keep)
    refused: set[Subject] = set()
    used = policy.with_subjects(own, keep).size()
    for subject in candidates:
        if subject in accepted:
            continue
        cost = (
            len(str(subject)) + _QUOTES_AND_COMMA
            if accepted
            else policy.with_subjects(own, [subject]).size() - used
        )
        if used + cost > quota:
            refused.add(subject)
            continue
        accepted.add(subject)
        used += cost
    return Fitted(policy.with_subjects(own, accepted), frozenset(accepted), frozenset(refused))
