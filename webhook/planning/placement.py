"""Which role each grant gets, by what is known at one moment, in the order in which the running program tries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.iam.amendment import Standing, Verdict, amend
from webhook.planning.snapshot import TrustedSubjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, Installation


@dataclass(frozen=True, slots=True)
class Placement:
    """The role that a grant gets, and where it stands with it.

    Without a verdict that is not known: the role could not be read, or its trust is external.
    """

    grant: Grant
    role: RoleArn
    verdict: Verdict | None


def place(
    grants: Sequence[Grant], account: AccountSnapshot, installation: Installation
) -> tuple[dict[Subject, Placement], dict[RoleArn, TrustPolicy]]:
    """Where each grant goes, and each role's policy with the subjects that are added and our statement repaired.

    As in the running program a subject stays where it is trusted already, else gets the role that its annotation
    names, else the first role in its own order that has room. Earlier ones of `grants` are served first.
    """
    trusted = TrustedSubjects(account, installation)
    placed: dict[Subject, Placement] = {}
    amended = dict(account.policies)
    untried = {grant.subject: iter(_order(grant, account, trusted)) for grant in grants}
    asked: defaultdict[RoleArn, list[Grant]] = defaultdict(list, {role: [] for role in account.policies})
    waiting = list(grants)
    while True:
        for grant in waiting:
            _try_next(grant, untried[grant.subject], asked, placed, account)
        waiting = []
        for role, askers in asked.items():
            own, subjects = installation.own_in(role), [grant.subject for grant in askers]
            amendment = amend(amended[role], own, frozenset(), subjects, account.quota)
            amended[role] = amendment.policy
            for grant in askers:
                verdict = amendment.verdicts[grant.subject]
                if verdict.standing is Standing.NO_ROOM:
                    waiting.append(grant)
                else:
                    placed[grant.subject] = Placement(grant, role, verdict)
        if not waiting:
            return placed, amended
        asked = defaultdict(list)


def _try_next(
    grant: Grant,
    untried: Iterator[RoleArn],
    asked: Mapping[RoleArn, list[Grant]],
    placed: dict[Subject, Placement],
    account: AccountSnapshot,
) -> None:
    role = next(untried, None)
    if role is None:
        placed[grant.subject] = Placement(grant, grant.roles_in_order[0], Verdict(Standing.NO_ROOM))
    elif not grant.binding.names_subjects or role not in account.policies:
        placed[grant.subject] = Placement(grant, role, None)
    else:
        asked[role].append(grant)


def _order(grant: Grant, account: AccountSnapshot, trusted: TrustedSubjects) -> list[RoleArn]:
    """The role that trusts it already first, then the annotated one, and what cannot be read last."""

    def rank(role: RoleArn) -> tuple[bool, bool]:
        unread = role not in account.policies
        return not trusted.trusts(role, grant.subject), unread and role != grant.annotated

    return sorted(grant.roles_in_order, key=rank)
