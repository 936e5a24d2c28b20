"""A replica's part in keeping certificates: read the bundle, do the next step, serve, announce, record that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.bundle import read_bundle
from certs.errors import BundleError, Difference, PairError, StoreError
from certs.making import Lifetimes, carried_out
from certs.pairs import read_certificates
from certs.proving import refusal
from certs.rotation import Action, Decision, Situation, Timing, decide, may_serve, with_own_entry

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from certs.bundle import Bundle
    from certs.pairs import Certificate, Pair
    from certs.report import Report
    from certs.serving import ServingContext
    from certs.store import Announced, Store, Stored, Trust

_MOST_WRITES = 8
"""Writes of one pass. More of them are a conflict with another writer, and the next pass goes on."""

_CONFLICT = (
    "the certificates change faster than they can be read; another program writes the Secret or the caBundle too, "
    "or the Secret is immutable"
)

_PROPAGATED_S = 1.0
"""How long a changed registration takes to reach API servers, by their watch."""


class SelfManaged:
    """One replica's view of the bundle that all share. No replica leads: the store's compare-and-swap decides.

    `names` are the DNS names and addresses that callers use. `clock` returns the wall time, in UTC.
    """

    def __init__(  # noqa: PLR0913  what it works with, handed in once
        self,
        store: Store,
        trust: Trust,
        context: ServingContext,
        report: Report,
        *,
        replica: str,
        names: frozenset[str],
        clock: Callable[[], dt.datetime],
        lifetimes: Lifetimes | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._store = store
        self._trust = trust
        self._context = context
        self._report = report
        self._replica = replica
        self._names = names
        self._clock = clock
        self._lifetimes = lifetimes or Lifetimes()
        self._timing = timing or Timing()
        self._remembered: Bundle | None = None
        self._served: Pair | None = None
        self._served_by: Certificate | None = None
        self._seen: dict[Certificate, dt.datetime] | None = None
        self._proven = False
        self._refusal: str | None = None
        self._started: dt.datetime | None = None

    @property
    def is_served(self) -> bool:
        """Whether there is a certificate to answer with."""
        return self._served is not None

    @property
    def is_registered(self) -> bool:
        """Whether a webhook is registered, as of the last pass."""
        return self._seen is not None

    @property
    def is_proven(self) -> bool:
        """Whether callers have trusted what is served, once.

        It stays true. A replica that becomes unready because the registration was removed, or its caBundle
        overwritten, would repair neither, and would be missing once that is repaired.
        """
        return self._proven

    @property
    def refused_because(self) -> str | None:
        """Why a client that trusts what callers do refuses what is served, as of the last pass."""
        return self._refusal

    async def reconcile(self) -> None:
        """Do all steps that are due. Raises StoreError; the next pass goes on from there.

        The registration is read before the bundle: a caBundle is then only replaced, on the version read here, by
        that of a bundle that is at least as new. Where another replica was first, all is read again at once: its
        caBundle may lack the authority that this one serves.
        """
        for _ in range(_MOST_WRITES):
            announced = await self._trust.announced()
            self._observe(announced)
            stored, bundle = await self._settled()
            self._serve(bundle)
            if announced is None or await self._announce(announced, bundle):
                break
        else:
            raise StoreError(_CONFLICT)
        self._prove()
        recorded = with_own_entry(bundle, self._situation(), self._timing)
        if recorded is not None and await self._store.write(recorded.written(), stored) is not None:
            self._remembered = recorded

    async def _settled(self) -> tuple[Stored, Bundle]:
        """The bundle as it is when no step is left to do."""
        stored = await self._store.read()
        for _ in range(_MOST_WRITES):
            situation, found = self._situation(), _read(stored)
            if isinstance(found, BundleError):
                bundle, decision = None, Decision(Action.RESTORE, found.reason)
            elif (due := decide(found, situation, self._timing)) is None:
                self._remembered = found
                return stored, found
            else:
                bundle, decision = found, due
            made = carried_out(decision, bundle, self._remembered, situation, self._lifetimes)
            written = await self._store.write(made.written(), stored)
            if written is not None and decision.reason is not None:
                self._report.regenerated(decision.reason, decision.action.value)
            stored = written or await self._store.read()
        raise StoreError(_CONFLICT)

    def _serve(self, bundle: Bundle) -> None:
        leaf, authority = bundle.leaf, bundle.authority.certificate
        if leaf is not None and may_serve(bundle, self._situation(), self._timing):
            try:
                self._context.load(leaf.certificate.pem, leaf.key)
            except PairError as error:
                self._report.reloaded("refused", str(error))
            else:
                self._served, self._served_by = leaf, bundle.issuer_of_leaf()
                self._report.reloaded("loaded", f"valid until {leaf.certificate.expires.isoformat()}")
        if self._served is not None:
            self._report.expiries(self._served.certificate.expires, authority.expires)

    async def _announce(self, announced: Announced, bundle: Bundle) -> bool:
        """Have the registration name the bundle's authorities; False where it has changed since it was read."""
        wanted = (*bundle.trusted, *self._others_authorities(bundle))
        text = b"".join(authority.pem for authority in wanted)
        if all(present == text for present in announced.bundles):
            return True
        if not await self._trust.announce(text, announced):
            return False
        self._report.announced(self._difference(announced), len(wanted))
        self._see(set(wanted))
        return True

    def _difference(self, announced: Announced) -> Difference:
        """No step removes the authority of what is served: where it is missing, another program wrote."""
        if not all(text.strip() for text in announced.bundles):
            return Difference.EMPTY
        if self._served_by is not None and self._served_by not in (self._seen or {}):
            return Difference.OVERWRITTEN
        return Difference.ROTATION

    def _others_authorities(self, bundle: Bundle) -> list[Certificate]:
        """Authorities that stay in the caBundle though the bundle does not have them.

        Those that a replica's entry names: they were removed from the bundle by another program. And while this
        replica has just started, all: others may serve leaves of them, and need time to record that.
        """
        now = self._clock()
        self._started = self._started or now
        is_new = (now - self._started).total_seconds() < self._timing.overlap
        served = {
            entry.ca for entry in bundle.replicas.values() if abs(now.timestamp() - entry.at) < self._timing.stale
        }
        others = [
            authority
            for authority in self._seen or ()
            if authority not in bundle.trusted and (is_new or authority.fingerprint in served)
        ]
        valid = [authority for authority in others if authority.is_authority and authority.is_valid(now)]
        return sorted(valid, key=lambda authority: authority.fingerprint)

    def _prove(self) -> None:
        """Prove the leaf: callers have had time to read the registration, and a handshake with it succeeds."""
        seen = None if self._served_by is None else (self._seen or {}).get(self._served_by)
        if self._proven or self._served is None or self._served_by is None or seen is None:
            return
        announced = b"".join(authority.pem for authority in self._seen or ())
        self._refusal = refusal(self._served, self._served_by, announced, self._names)
        self._proven = self._refusal is None and (self._clock() - seen).total_seconds() >= _PROPAGATED_S

    def _observe(self, announced: Announced | None) -> None:
        if announced is None:
            self._seen = None
        else:
            everywhere = [_trusted_by(text) for text in announced.bundles]
            self._see(set.intersection(*everywhere))

    def _see(self, authorities: set[Certificate]) -> None:
        seen, now = self._seen or {}, self._clock()
        self._seen = {authority: seen.get(authority, now) for authority in authorities}

    def _situation(self) -> Situation:
        now = self._clock()
        seen = self._seen
        return Situation(
            replica=self._replica,
            names=self._names,
            now=now,
            served=self._served,
            served_by=self._served_by,
            announced=None if seen is None else {ca: (now - since).total_seconds() for ca, since in seen.items()},
        )


def _read(stored: Stored) -> Bundle | BundleError:
    try:
        return read_bundle(stored.data)
    except BundleError as error:
        return error


def _trusted_by(text: bytes) -> set[Certificate]:
    try:
        return set(read_certificates(text))
    except BundleError:
        return set()
