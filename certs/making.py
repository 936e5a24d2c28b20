"""Carrying out a decision: the bundle that comes of it, with new keys where it takes some."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from certs.bundle import Bundle
from certs.pairs import new_authority, new_leaf
from certs.rotation import Action, stamped

if TYPE_CHECKING:
    from certs.pairs import Certificate, Pair
    from certs.rotation import Decision, Situation

AUTHORITY_NAME = "mxp-identity-webhook"

_MOST_ADOPTED = 4
"""Authorities adopted from a caBundle: a rotation of this program leaves fewer there."""

_MOST_OTHER_NAMES = 16
"""Names of other replicas that a leaf keeps: five are usual."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9a-f:]{2,39}")


@dataclass(frozen=True)
class Lifetimes:
    """How long new certificates are valid. Each is renewed after two thirds of its own life."""

    authority: dt.timedelta = dt.timedelta(days=365)
    leaf: dt.timedelta = dt.timedelta(days=7)


def carried_out(
    decision: Decision,
    found: Bundle | None,
    remembered: Bundle | None,
    situation: Situation,
    lifetimes: Lifetimes,
) -> Bundle:
    """The bundle after a decision on `found`, which is None where the decision is to restore it."""
    now = situation.now

    def another_authority() -> Pair:
        return new_authority(AUTHORITY_NAME, now, lifetimes.authority)

    if found is None or decision.action is Action.RESTORE:
        if remembered is not None and remembered.authority.certificate.is_valid(now):
            return _restored(remembered, another_authority(), situation)
        return _first(another_authority(), situation, lifetimes)
    match decision.action:
        case Action.ANNOUNCE:
            return replace(found, following=another_authority(), replicas=stamped(found, now))
        case Action.PROMOTE if found.following is not None:
            return _promoted(found, found.following, situation, lifetimes)
        case Action.KEEP if situation.served_by is not None:
            previous = (situation.served_by, *found.previous)
            return replace(found, previous=previous, since=now.timestamp(), replicas=stamped(found, now))
        case Action.FORGET:
            return replace(found, previous=())
        case _:
            return _renewed(found, situation, lifetimes)


def _restored(remembered: Bundle, following: Pair, situation: Situation) -> Bundle:
    now = situation.now
    previous = dict.fromkeys([*remembered.trusted[1:], *_adopted(situation)])
    previous.pop(remembered.authority.certificate, None)
    return replace(
        remembered,
        following=following,
        previous=tuple(previous),
        since=now.timestamp(),
        replicas=stamped(remembered, now),
    )


def _first(authority: Pair, situation: Situation, lifetimes: Lifetimes) -> Bundle:
    now = situation.now
    leaf = new_leaf(authority, situation.names, now, lifetimes.leaf)
    return Bundle(authority, leaf, previous=tuple(_adopted(situation)), since=now.timestamp())


def _adopted(situation: Situation) -> list[Certificate]:
    """The authorities that callers trust now: other replicas may serve leaves of them that are not recorded."""
    seen = [one for one in situation.announced or () if one.is_authority and one.is_valid(situation.now)]
    return sorted(seen, key=lambda authority: authority.fingerprint)[:_MOST_ADOPTED]


def _promoted(found: Bundle, following: Pair, situation: Situation, lifetimes: Lifetimes) -> Bundle:
    now = situation.now
    return Bundle(
        following,
        new_leaf(following, situation.names, now, lifetimes.leaf),
        previous=(found.authority.certificate, *found.previous),
        since=now.timestamp(),
        replicas=stamped(found, now),
    )


def _renewed(found: Bundle, situation: Situation, lifetimes: Lifetimes) -> Bundle:
    """With a new leaf. It keeps unknown names: other replicas need them during a rollout."""
    leaf = found.leaf
    others: frozenset[str] = frozenset()
    if leaf is not None and not situation.names <= leaf.certificate.names():
        hosts = sorted(name for name in leaf.certificate.names() if _HOST.fullmatch(name))
        others = frozenset(hosts[:_MOST_OTHER_NAMES])
    return found.with_leaf(new_leaf(found.authority, situation.names | others, situation.now, lifetimes.leaf))
