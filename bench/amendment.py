"""For how long an amendment of a trust policy with thousands of subjects keeps the event loop from all else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.figures import milliseconds, table, verdict
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import Site, own_in, role, subject
from webhook.iam.amendment import amend
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.model.names import Subject

SUBJECTS = 5000
STATEMENTS = 15
TARGET_S = 0.05
QUOTA = 8192
SIMULATED_QUOTA = 1_000_000
_TRIES = 3
_ROLE = role()
_OWN = own_in(_ROLE)
_PATTERNS = 7
"""In each statement of those with patterns: so many fit into the quota."""


def _of_other_clusters(number: int) -> dict[str, Any]:
    issuer = IssuerUrl(f"https://oidc.eks.us-west-2.amazonaws.com/id/{number:032X}")
    return OwnStatement.for_role(_ROLE, issuer, "mxp-identity").render([subject(number)])


def _with_patterns(number: int) -> dict[str, Any]:
    patterns = [f"system:serviceaccount:team-{number}-*:app-{one}-*" for one in range(_PATTERNS)]
    return _external(number, "Allow", {"StringLike": {_OWN.subject_key: patterns}})


def _hostile(number: int) -> dict[str, Any]:
    patterns = [f"*{'?*' * 12}{one}-{number}*x" for one in range(_PATTERNS)]
    return _external(number, "Deny", {"StringLike": {_OWN.subject_key: patterns}})


def _external(number: int, effect: str, condition: dict[str, Any]) -> dict[str, Any]:
    federated = {"Federated": _OWN.provider_arn}
    action = "sts:AssumeRoleWithWebIdentity"
    return {
        "Sid": f"N{number}",
        "Effect": effect,
        "Principal": federated,
        "Action": action,
        "Condition": condition,
    }


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "of other clusters": _of_other_clusters,
    f"with {_PATTERNS} patterns each": _with_patterns,
    f"hostile, {_PATTERNS} patterns of many stars each": _hostile,
}


@dataclass(frozen=True)
class Figures:
    """CPU seconds for one kind of external statements."""

    kind: str
    quota: int
    one_by_one: float
    amended: float
    pause: float | None = None
    """The longest in which a role's writer let nothing else run; measured for a quota that there is."""


def measure(subjects: int = SUBJECTS, statements: int = STATEMENTS) -> list[Figures]:
    """Measure each kind of statement with the largest quota that is known, and where all subjects fit."""
    return [_measure(kind, quota, subjects, statements) for kind in KINDS for quota in (QUOTA, SIMULATED_QUOTA)]


def _measure(kind: str, quota: int, subjects: int, statements: int) -> Figures:
    document = {"Version": "2012-10-17", "Statement": [KINDS[kind](number) for number in range(statements)]}
    policy, asked = TrustPolicy(document), [subject(number) for number in range(subjects)]
    amended = min(_seconds(lambda: amend(policy, _OWN, frozenset(), asked, quota)) for _ in range(_TRIES))
    one_by_one = _seconds(lambda: [policy.effects_on(_OWN, one) for one in asked])
    if quota == SIMULATED_QUOTA:
        return Figures(kind, quota, one_by_one, amended)
    pause = min(asyncio.run(_longest_pause(document, quota, asked)) for _ in range(_TRIES))
    return Figures(kind, quota, one_by_one, amended, pause)


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


async def _longest_pause(document: dict[str, Any], quota: int, asked: list[Subject]) -> float:
    """For how long nothing else was done while a writer read a policy and amended it."""
    iam = SimulatedIam(limit=quota, latency=0, reorders=False)
    iam.store(_ROLE, document)
    site = Site(iam, _ROLE)
    site.wanted[_ROLE] = asked
    looked = asyncio.ensure_future(site.writers[_ROLE].wait_until_synced())
    longest, last = 0.0, time.thread_time()
    while not looked.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    await site.grants.close()
    return longest


def report(found: Sequence[Figures]) -> str:
    """The figures as Markdown."""
    rows = [
        [
            one.kind,
            f"{one.quota:,}",
            milliseconds(one.one_by_one),
            milliseconds(one.amended),
            f"{one.one_by_one / one.amended:.1f}",
            "" if one.pause is None else milliseconds(one.pause),
        ]
        for one in found
    ]
    columns = ["external statements", "quota", "one by one", "`amend`", "times as fast", "longest pause"]
    targets = [
        verdict(f"{one.kind}: nothing else waits for more than {milliseconds(TARGET_S)}", met=one.pause < TARGET_S)
        for one in found
        if one.pause is not None
    ]
    return "\n".join([table(columns, rows), "", *targets])
