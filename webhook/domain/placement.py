"""Which role each grant gets, by what is known at one moment, in the order in which the running program tries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.domain.amendment import Amendment, Standing, Verdict, amend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from webhook.domain.decisions import Grant
    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.snapshot import AccountSnapshot, Installation


@dataclass(frozen=True, slots=True)
class Placement:
    """The role that a grant gets, and where it stands with it.

    Without a verdict nobody knows: the role could not be read, or its trust is somebody else's work.
    """

    grant: Grant
    role: RoleArn
    verdict: Verdict | None


def place(
    grants: Sequence[Grant], account: AccountSnapshot, installation: Installation
) -> tuple[dict[Subject, Placement], dict[RoleArn, Amendment]]:
    """Where each grant goes, and how that amends each role's policy.

    As in the running program a subject stays where it is trusted already, else goes where its annotation points,
    else to the first role in its own order that has room. Who comes first in `grants` is served first.
    """
    placed: dict[Subject, Placement] = {}
    asked: defaultdict[RoleArn, list[Grant]] = defaultdict(list)
    amendments = {role: _amendment(role, [], account, installation) for role in account.policies}
    untried = {grant.subject: iter(_order(grant, account, installation)) for grant in grants}
    waiting = list(grants)
    while waiting:
        for grant in waiting:
            _try_next(grant, untried[grant.subject], asked, placed, account)
        waiting = []
        for role, askers in asked.items():
            amendments[role] = _amendment(role, askers, account, installation)
            verdicts = amendments[role].verdicts
            waiting += [grant for grant in askers if verdicts[grant.subject].standing is Standing.NO_ROOM]
            asked[role] = [grant for grant in askers if verdicts[grant.subject].standing is not Standing.NO_ROOM]
    for role, askers in asked.items():
        for grant in askers:
            placed[grant.subject] = Placement(grant, role, amendments[role].verdicts[grant.subject])
    return placed, amendments


def _try_next(
    grant: Grant,
    untried: Iterator[RoleArn],
    asked: Mapping[RoleArn, list[Grant]],
    placed: dict[Subject, Placement],
    account: AccountSnapshot,
) -> None:
    role = next(untried, None)
    if role is None:
        placed[grant.subject] = Placement(grant, _preferred(grant)[0], Verdict(Standing.NO_ROOM))
    elif not grant.binding.names_subjects or role not in account.policies:
        placed[grant.subject] = Placement(grant, role, None)
    else:
        asked[role].append(grant)


def _order(grant: Grant, account: AccountSnapshot, installation: Installation) -> list[RoleArn]:
    """Who trusts it already first, then the annotated one, and what cannot be read last."""

    def rank(role: RoleArn) -> tuple[bool, bool]:
        unread = role not in account.policies
        return not account.trusts(role, grant.subject, installation), unread and role != grant.annotated

    return sorted(_preferred(grant), key=rank)


def _preferred(grant: Grant) -> list[RoleArn]:
    return sorted(grant.binding.roles_in_order(grant.subject), key=lambda role: role != grant.annotated)


def _amendment(
    role: RoleArn, askers: list[Grant], account: AccountSnapshot, installation: Installation
) -> Amendment:
    subjects = [grant.subject for grant in askers]
    return amend(account.policies[role], installation.own_in(role), frozenset(), subjects, account.quota)
