"""Trust policies without managed statements: removed, or turned into plain ones that allow the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from webhook.iam.trust_policy import Place, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.names import Subject

ALLOWS_NOBODY = "AllowsNobody"
"""The Sid of what stays where no other statement would, which IAM refuses. It allows no token."""

_KEPT = "KeptAccess"
"""How the Sid of a plain statement begins; with the hash of the managed one it is shorter than that one's."""

_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Replacement:
    """A managed statement, and the plain one that takes its place, if any."""

    managed: Statement
    plain: Statement | None


def replacements(
    policy: TrustPolicy, own: OwnStatement, kept: frozenset[Subject] | None
) -> dict[int, Replacement]:
    """Our statements in a policy by their places, each with what takes its place.

    That is nothing, or where access is kept a statement of the same content. `kept` are the subjects that the one
    with subjects trusts then; the policy is one that `changed_externally` passes.
    """
    found = {place: one for place, one in enumerate(policy.statements) if own.owns(one)}
    if kept is None:
        return {place: Replacement(one, None) for place, one in found.items()}
    taken = {str(one.get("Sid")) for one in policy.statements}
    answer = {}
    for place, one in found.items():
        content = _content(one, own, kept)
        plain = content and {**content, "Sid": _free_sid(one["Sid"], taken)}
        answer[place] = Replacement(one, plain)
    return answer


def _content(statement: Statement, own: OwnStatement, kept: frozenset[Subject]) -> Statement | None:
    """What is kept of a statement, as IAM stored it where that is right; None where it trusts no subject."""
    if statement["Sid"] != own.sid:
        return statement
    if not kept:
        return None
    expected = own.render(kept)
    return statement if canonical(statement) == canonical(expected) else expected


def changed_externally(policy: TrustPolicy, own: OwnStatement) -> str:
    """Why access cannot be kept: a statement of ours is not as it is written; empty where all are.

    What it allows is not what pods rely on. The program would repair it.
    """
    whole = [own.render_placeholder(), *own.rendered(policy.subjects(own)).values()]
    known = {own.sid, *(one.sid for one in own.pods)}
    forms = {canonical(one) for one in whole}
    for index, one in enumerate(policy.statements):
        if one.get("Sid") in known and canonical(one) not in forms:
            return (
                f"{Place(index, one['Sid'])} was changed externally: `mxp-identity apply` with the same options "
                "repairs it; run it before access is kept"
            )
    return ""


def _free_sid(managed: str, taken: set[str]) -> str:
    """A Sid that no statement has: an earlier run may have left one. Sids are alphanumeric (IAM grammar)."""
    begins = _KEPT + managed[-_HASH_DIGITS:]
    numbered: Iterator[str] = (begins if number == 1 else f"{begins}{number}" for number in count(1))
    free = next(one for one in numbered if one not in taken)
    taken.add(free)
    return free


def without_managed(policy: TrustPolicy, own: OwnStatement, kept: frozenset[Subject] | None) -> TrustPolicy:
    """The policy with our statements replaced; every other statement stays as read, in its order."""
    replaced = replacements(policy, own, kept)
    if not replaced:
        return policy
    statements = []
    for place, one in enumerate(policy.statements):
        new = replaced[place].plain if place in replaced else one
        if new is not None:
            statements.append(new)
    left = statements or [{**own.render_placeholder(), "Sid": ALLOWS_NOBODY}]
    return type(policy)({**policy.document, "Statement": left})


@dataclass(slots=True)
class News:
    """What a role's Lease says was written and removed in the last minute: a read may be too old to show it."""

    written: set[Subject] = field(default_factory=set)
    removed: set[Subject] = field(default_factory=set)

    def learn(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Take in what a Lease says, as `RoleLock.hold` calls it."""
        self.written, self.removed = set(written), set(removed)

    def trusted(self, shown: frozenset[Subject], wanted: frozenset[Subject]) -> frozenset[Subject]:
        """The subjects that a statement trusts, of which a read has shown `shown`.

        A Lease can be forged, so it adds only a subject that a binding wants, and removes none that is wanted.
        """
        return (shown | (self.written & wanted)) - (self.removed - wanted)
