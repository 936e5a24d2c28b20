"""The rules of rotation: what a replica does about the bundle that it finds. No I/O and no clock.

An authority is replaced in four steps, each one write of the bundle:

1. *announce*: the next authority is made. The caBundle names it; the leaf stays.
2. *promote*, once the API server's caBundle has held it for the overlap: it signs from now on, and a leaf of it is
   made. The old one stays in the caBundle as a previous one.
3. each replica serves the new leaf, and records that in the bundle.
4. *forget*: no replica serves a leaf of a previous authority, so that authority is removed from the caBundle.

A bundle that is lost or damaged is restored from the replica's memory, and its authority is replaced in the same
four steps: a client that could damage it could also read its key. Callers notice nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from certs.bundle import Served
from certs.errors import Reason
from certs.proving import can_sign, refusal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from certs.bundle import Bundle
    from certs.pairs import Certificate, Pair

DAY = 86400.0


@dataclass(frozen=True)
class Timing:
    """Seconds. The API server learns of a caBundle within about one; the rest is margin."""

    overlap: float = 10.0
    """How long the caBundle holds a new authority before a leaf of it is served, and the former one after that."""
    stale: float = 60.0
    """The age at which a replica's entry no longer counts, while authorities change."""


class Action(Enum):
    """What to do about the bundle."""

    RESTORE = "authority and leaf"
    ANNOUNCE = "authority"
    PROMOTE = "leaf of the new authority"
    RENEW = "leaf"
    KEEP = "trust in the authority of the served leaf"
    FORGET = "no trust in previous authorities"


@dataclass(frozen=True)
class Decision:
    """A step and, where it recreates something, the reason."""

    action: Action
    reason: Reason | None = None


@dataclass(frozen=True)
class Situation:
    """What a replica knows beside the bundle.

    `announced` has the authorities that callers trust and for how long it has seen each there without a break, in
    seconds; it is None where no webhook is registered, so that there are no callers.
    """

    replica: str
    names: frozenset[str]
    now: dt.datetime
    served: Pair | None = None
    served_by: Certificate | None = None
    announced: Mapping[Certificate, float] | None = None


def decide(found: Bundle, situation: Situation, timing: Timing) -> Decision | None:
    """The next step about a bundle that can be read; None where all is as it should be."""
    now = situation.now
    if not found.authority.certificate.is_valid(now):
        return Decision(Action.RESTORE, Reason.CA_EXPIRING)
    if not can_sign(found.authority, situation.names):
        return Decision(Action.RESTORE, Reason.CA_UNUSABLE)
    mine = situation.served_by
    if mine is not None and mine not in found.trusted and mine.is_valid(now):
        return Decision(Action.KEEP)
    if (reason := _leaf_fault(found, situation)) is not None:
        return Decision(Action.RENEW, reason)
    return _about_authorities(found, situation, timing)


def _leaf_fault(found: Bundle, situation: Situation) -> Reason | None:
    if found.leaf is None:
        return found.leaf_fault
    leaf, authority = found.leaf.certificate, found.authority.certificate
    if not leaf.is_signed_by(authority):
        return Reason.CA_REPLACED
    if not situation.names <= leaf.names():
        return Reason.WRONG_NAMES
    another_would_last = leaf.expires < authority.expires
    if situation.now >= leaf.renewed_from and another_would_last:
        return Reason.EXPIRING
    if not leaf.is_valid(situation.now):
        return Reason.EXPIRING
    refused = refusal(found.leaf, authority, found.ca_bundle, situation.names)
    return None if refused is None else Reason.NOT_ACCEPTED


def _about_authorities(found: Bundle, situation: Situation, timing: Timing) -> Decision | None:
    now, following = situation.now, found.following
    if following is None and now >= found.authority.certificate.renewed_from:
        return Decision(Action.ANNOUNCE, Reason.CA_EXPIRING)
    if following is not None and not can_sign(following, situation.names):
        return Decision(Action.ANNOUNCE, Reason.CA_UNUSABLE)
    if following is not None and not following.certificate.begins <= now < following.certificate.renewed_from:
        return Decision(Action.ANNOUNCE, Reason.CA_EXPIRING)
    if following is not None and _is_settled(following.certificate, situation, timing):
        return Decision(Action.PROMOTE, Reason.CA_REPLACED)
    if found.previous and _is_previous_unused(found, situation, timing):
        return Decision(Action.FORGET)
    return None


def may_serve(found: Bundle, situation: Situation, timing: Timing) -> bool:
    """Whether to take the bundle's leaf into service: callers must have trusted its authority for long enough.

    It is served earlier where waiting would only fail more calls: nothing valid is served, or callers trust the
    new authority alone.
    """
    issuer = found.issuer_of_leaf()
    if issuer is None or found.leaf == situation.served:
        return False
    if situation.served is None or issuer == situation.served_by or _is_settled(issuer, situation, timing):
        return True
    announced = situation.announced or {}
    is_useless = not situation.served.certificate.is_valid(situation.now) or situation.served_by not in announced
    return is_useless and issuer in announced


def with_own_entry(found: Bundle, situation: Situation, timing: Timing) -> Bundle | None:
    """The bundle with this replica's entry; None where a recent one is there already."""
    if situation.served_by is None:
        return None
    at, ca = situation.now.timestamp(), situation.served_by.fingerprint
    entry = found.replicas.get(situation.replica)
    longest = (timing.stale if found.changing else DAY) / 3
    if entry is not None and entry.ca == ca and abs(at - entry.at) < longest:
        return None
    others = {name: entry for name, entry in found.replicas.items() if abs(at - entry.at) < DAY}
    return replace(found, replicas={**others, situation.replica: Served(ca, at)})


def stamped(found: Bundle, now: dt.datetime) -> Mapping[str, Served]:
    """The replicas' entries with the time of now: each replica has the whole time to renew its own."""
    return {name: Served(entry.ca, now.timestamp()) for name, entry in found.replicas.items()}


def _is_settled(authority: Certificate, situation: Situation, timing: Timing) -> bool:
    if situation.announced is None:
        return True
    return situation.announced.get(authority, -1.0) >= timing.overlap


def _is_previous_unused(found: Bundle, situation: Situation, timing: Timing) -> bool:
    at, current = situation.now.timestamp(), found.authority.certificate
    if situation.served_by != current or abs(at - found.since) < timing.overlap:
        return False
    return all(
        entry.ca == current.fingerprint for entry in found.replicas.values() if abs(at - entry.at) < timing.stale
    )
