"""Replicas that share certificates in memory: a Secret and a registration with versions, and a clock of our own.

Each call to the store is a place where another replica may come first: `race` goes through looks in any order.
"""

from __future__ import annotations

import datetime as dt
import ssl
import types
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from certs.errors import BundleError, Difference, Reason, StoreError
from certs.making import Lifetimes
from certs.pairs import Certificate, Pair, read_certificates
from certs.selfmanaged import SelfManaged
from certs.serving import ServingContext
from certs.store import Announced, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
    from typing import Any

    from certs.report import Reload

NAMES = frozenset({"webhook.mxp-identity.svc"})
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

LAG_S = 1.0
"""For how long an API server may go on with a caBundle that has been replaced."""


@types.coroutine
def _turn() -> Generator[None, None, None]:
    yield


@dataclass
class Version:
    """A caBundle from a moment on; `ours` where a replica wrote it."""

    since: dt.datetime
    bundle: bytes
    ours: bool


class World:
    """The Secret, the registration, the time, and what went wrong for those who call."""

    def __init__(self, replicas: int = 2, lifetimes: Lifetimes | None = None, now: dt.datetime = START) -> None:
        self.now = now
        self.lifetimes = lifetimes or Lifetimes()
        self.secret: dict[str, bytes] | None = {}
        self.version = 0
        self.registered = True
        self.versions = [Version(self.now, b"", ours=False)]
        self.silent = False
        self.turned_away: list[str] = []
        self.replicas = [Replica(self, f"replica-{number}") for number in range(replicas)]

    @property
    def ca_bundle(self) -> bytes:
        return self.versions[-1].bundle

    def overwrite(self, ca_bundle: bytes) -> None:
        """Somebody writes the caBundle. What a replica serves is in it again once that replica has looked."""
        for replica in self.replicas:
            replica.disturbed = True
        self._write_ca_bundle(ca_bundle, ours=False)

    def put(self, secret: dict[str, bytes] | None) -> None:
        """Somebody writes or deletes the Secret."""
        self.secret = secret
        self.version += 1

    def restart(self, number: int) -> None:
        """A replica's process ends and another one takes its place."""
        self.replicas[number] = Replica(self, self.replicas[number].name)

    def let_pass(self, seconds: float) -> None:
        """Time goes on; no replica looks meanwhile."""
        self.now += dt.timedelta(seconds=seconds)

    def look(self, times: int = 1, every_s: float = 2.0) -> None:
        """All replicas look one after the other, so many times."""
        for _ in range(times):
            race([replica.look() for replica in self.replicas], [])
            self.let_pass(every_s)

    def check(self) -> None:
        """Would a handshake with each ready replica have succeeded, with any caBundle that still counts?"""
        for replica in self.replicas:
            if not replica.source.is_proven or not self.registered or replica.disturbed:
                continue
            leaf = replica.context.leaf
            assert leaf is not None
            if not leaf.is_valid(self.now):
                self.turned_away.append(f"{self.now} {replica.name}: expired")
            for position, version in enumerate(self.versions):
                ends = self.versions[position + 1].since if version is not self.versions[-1] else self.now
                counts = (self.now - ends).total_seconds() < LAG_S
                if (
                    position >= replica.counts_from
                    and counts
                    and version.ours
                    and not _verifies(leaf, version.bundle)
                ):
                    self.turned_away.append(f"{self.now} {replica.name}: not trusted")

    # ---- certs.store.Store and certs.store.Trust

    async def read(self) -> Stored:
        await self._answer()
        if self.secret is None:
            raise StoreError("there is no Secret")
        return Stored(dict(self.secret), str(self.version))

    async def write(self, data: Mapping[str, bytes], replacing: Stored) -> Stored | None:
        await self._answer()
        if self.secret is None or str(self.version) != replacing.version:
            return None
        self.put(dict(data))
        return Stored(dict(data), str(self.version))

    async def announced(self) -> Announced | None:
        await self._answer()
        return Announced((self.ca_bundle,), str(len(self.versions))) if self.registered else None

    async def announce(self, ca_bundle: bytes, replacing: Announced) -> bool:
        await self._answer()
        if not self.registered or replacing.version != str(len(self.versions)):
            return False
        self._write_ca_bundle(ca_bundle, ours=True)
        return True

    def _write_ca_bundle(self, ca_bundle: bytes, *, ours: bool) -> None:
        self.versions.append(Version(self.now, ca_bundle, ours))

    async def _answer(self) -> None:
        self.check()
        await _turn()
        if self.silent:
            raise StoreError("the store is silent")


class ObservedContext(ServingContext):
    """A real one that remembers what it serves."""

    def __init__(self) -> None:
        super().__init__()
        self.leaf: Certificate | None = None

    def load(self, certificate: bytes, key: bytes) -> None:
        super().load(certificate, key)
        (self.leaf,) = read_certificates(certificate)


@dataclass
class RecordedReport:
    """What a replica reports."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)
    differences: Counter[Difference] = field(default_factory=Counter)
    ends: tuple[dt.datetime, dt.datetime | None] | None = None

    def regenerated(self, reason: Reason, what: str) -> None:
        assert what
        self.reasons[reason] += 1

    def reloaded(self, outcome: Reload, detail: str) -> None:
        assert detail
        self.reloads[outcome] += 1

    def announced(self, difference: Difference, authorities: int) -> None:
        assert authorities
        self.differences[difference] += 1

    def expiries(self, leaf: dt.datetime, authority: dt.datetime | None) -> None:
        self.ends = leaf, authority


class Replica:
    """One process."""

    def __init__(self, world: World, name: str, names: frozenset[str] = NAMES) -> None:
        self.name = name
        self.report = RecordedReport()
        self.disturbed = False
        self.counts_from = 0
        self._world = world
        self.context = ObservedContext()
        self.source = SelfManaged(
            world,
            world,
            self.context,
            self.report,
            replica=name,
            names=names,
            clock=lambda: world.now,
            lifetimes=world.lifetimes,
        )

    async def look(self) -> None:
        """One look, as the program's loop does it."""
        try:
            await self.source.reconcile()
        except StoreError:
            return
        if self.disturbed:
            self.disturbed = False
            self.counts_from = len(self._world.versions) - 1


def race(looks: Sequence[Coroutine[Any, Any, None]], order: Sequence[int]) -> None:
    """Run looks at once: `order` says whose call comes next; when it is used up they end one by one."""
    running = list(looks)
    turns = iter(order)
    while running:
        look = running[next(turns, 0) % len(running)]
        try:
            look.send(None)
        except StopIteration:
            running.remove(look)


@lru_cache(maxsize=1024)  # asked at every call to the store, and nearly always about the same two
def _verifies(leaf: Certificate, ca_bundle: bytes) -> bool:
    try:
        authorities = read_certificates(ca_bundle)
    except BundleError:
        return False
    return any(leaf.is_signed_by(authority) for authority in authorities)


def spoil(change: Callable[[dict[str, bytes]], None]) -> Callable[[World], None]:
    """A fault in the Secret's content, where there is a Secret."""

    def fault(world: World) -> None:
        if world.secret is not None:
            data = dict(world.secret)
            change(data)
            world.put(data)

    return fault


def handshake(context: ServingContext, authority: bytes, name: str) -> ssl.SSLObject:
    """A TLS handshake in memory, by a client that trusts `authority`; raises ssl.SSLError."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cadata=authority.decode())
    client = trusting.wrap_bio(client_in, client_out, server_hostname=name)
    server = context.context.wrap_bio(client_out, client_in, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    client.do_handshake()
    return client


def pair_bytes(pair: Pair) -> tuple[bytes, bytes]:
    """Certificate and key, as a Secret has them."""
    return pair.certificate.pem, pair.key
