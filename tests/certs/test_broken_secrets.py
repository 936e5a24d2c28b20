"""Whatever the Secret holds: within ten seconds a client like the API server is answered, and meanwhile too."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.bundle import read_bundle
from certs.errors import Reason
from certs.pairs import new_authority, read_certificates
from tests.support.odd_certificates import (
    DAY,
    NAME,
    SIGNS,
    Recipe,
    ed,
    key_usage,
    p224,
    parts,
    rsa2048,
)
from tests.support.shared_certificates import World, handshake

REPAIRED_S = 10
LOOK_S = 2
MOST_STORED = 50_000
"""Bytes; a Secret may have a million."""
MOST_TRUSTED = 16
Data = dict[str, bytes]
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
UNREADABLE_SAN = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\xff\xff")
ELSEWHERE = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)
LARGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.2"), bytes(100_000))
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def bare(recipe: Recipe) -> Callable[[dt.datetime], Data]:
    """An authority of that kind and no leaf."""
    return lambda now: parts(ca=recipe.authority(now))


def signing(recipe: Recipe) -> Callable[[dt.datetime], Data]:
    """An authority of that kind, and an ordinary leaf of it."""

    def made(now: dt.datetime) -> Data:
        authority = recipe.authority(now)
        return parts(ca=authority, tls=Recipe().leaf(now, authority))

    return made


def leaf(recipe: Recipe, **others: Recipe) -> Callable[[dt.datetime], Data]:
    """An ordinary authority with a leaf of that kind, and further authorities."""

    def made(now: dt.datetime) -> Data:
        authority = Recipe().authority(now)
        more = {name: other.authority(now) for name, other in others.items()}
        return parts(ca=authority, tls=recipe.leaf(now, authority), **more)

    return made


def encrypted_key(now: dt.datetime) -> Data:
    authority = Recipe().authority(now)
    key = authority.encoded(serialization.BestAvailableEncryption(b"secret"))
    return {**parts(ca=authority), "ca.key": key}


def with_others(**values: bytes) -> Callable[[dt.datetime], Data]:
    """All well but for these parts."""
    return lambda now: {**leaf(Recipe())(now), **{name.replace("__", "."): text for name, text in values.items()}}


def many_previous(now: dt.datetime) -> Data:
    some = b"".join(new_authority("previous", now, DAY).certificate.pem for _ in range(100))
    return {**leaf(Recipe())(now), "previous-ca.crt": some}


def many_replicas(now: dt.datetime) -> Data:
    """So many that the Secret would be too large for what a replica adds."""
    entries = {f"replica-{number}": {"ca": "f" * 64, "at": now.timestamp()} for number in range(9000)}
    return {**leaf(Recipe())(now), "replicas.json": json.dumps({"since": 0, "replicas": entries}).encode()}


def many_authorities(now: dt.datetime) -> Data:
    authority = Recipe().authority(now)
    return {**parts(ca=authority), "ca.crt": authority.pem * 1000}


BROKEN: Mapping[str, tuple[Callable[[dt.datetime], Data], Reason | None]] = {
    "an RSA authority without a leaf": (bare(Recipe(key=rsa2048)), Reason.CA_UNUSABLE),
    "an Ed25519 authority without a leaf": (bare(Recipe(key=ed)), Reason.CA_UNUSABLE),
    "an RSA authority with a leaf": (signing(Recipe(key=rsa2048)), Reason.CA_UNUSABLE),
    "an Ed25519 authority with a leaf": (signing(Recipe(key=ed)), Reason.CA_UNUSABLE),
    "an authority on a curve that Go does not have": (signing(Recipe(key=p224)), Reason.CA_UNUSABLE),
    "an authority for other names, without a leaf": (bare(Recipe(adding={ELSEWHERE: True})), Reason.CA_UNUSABLE),
    "an authority for other names": (signing(Recipe(adding={ELSEWHERE: True})), Reason.CA_UNUSABLE),
    "an authority that may not sign": (
        signing(Recipe(without=(x509.KeyUsage,), adding={key_usage("digital_signature"): True})),
        Reason.CA_UNUSABLE,
    ),
    "an authority that may sign for clients only": (signing(Recipe(adding={CLIENT: False})), Reason.CA_UNUSABLE),
    "an authority that is none": (signing(Recipe(without=(x509.BasicConstraints,))), Reason.UNREADABLE),
    "an authority with an unknown critical extension": (
        signing(Recipe(adding={UNKNOWN: True})),
        Reason.CA_UNUSABLE,
    ),
    "an authority of tomorrow": (signing(Recipe(begins=DAY, ends=2 * DAY)), Reason.CA_EXPIRING),
    "an authority of yesterday": (signing(Recipe(begins=-2 * DAY, ends=-DAY)), Reason.CA_EXPIRING),
    "an authority too large for a handshake": (signing(Recipe(adding={LARGE: False})), Reason.UNREADABLE),
    "an encrypted key": (encrypted_key, Reason.UNREADABLE),
    "a thousand authorities": (many_authorities, Reason.UNREADABLE),
    "a leaf for clients only": (
        leaf(Recipe(without=(x509.ExtendedKeyUsage,), adding={CLIENT: False})),
        Reason.NOT_ACCEPTED,
    ),
    "a leaf whose name is in the subject alone": (
        leaf(Recipe(without=(x509.SubjectAlternativeName,))),
        Reason.WRONG_NAMES,
    ),
    "a leaf whose names cannot be read": (
        leaf(Recipe(without=(x509.SubjectAlternativeName,), adding={UNREADABLE_SAN: False})),
        Reason.UNREADABLE,
    ),
    "a leaf with an unknown critical extension": (leaf(Recipe(adding={UNKNOWN: True})), Reason.NOT_ACCEPTED),
    "a leaf on a curve that Go does not have": (leaf(Recipe(key=p224)), Reason.NOT_ACCEPTED),
    "a leaf of tomorrow": (leaf(Recipe(begins=DAY, ends=2 * DAY)), Reason.EXPIRING),
    "a leaf of yesterday": (leaf(Recipe(begins=-2 * DAY, ends=-DAY)), Reason.EXPIRING),
    "a leaf too large for a handshake": (leaf(Recipe(adding={LARGE: False})), Reason.UNREADABLE),
    "a next authority of RSA": (leaf(Recipe(), next_ca=Recipe(key=rsa2048)), Reason.CA_UNUSABLE),
    "a next authority for other names": (
        leaf(Recipe(), next_ca=Recipe(adding={ELSEWHERE: True})),
        Reason.CA_UNUSABLE,
    ),
    "a next authority of tomorrow": (leaf(Recipe(), next_ca=Recipe(begins=DAY, ends=2 * DAY)), Reason.CA_EXPIRING),
    "a hundred previous authorities": (many_previous, None),
    "additional keys": (with_others(extra=b"x" * 500_000, other__crt=b"garbage"), None),
    "thousands of replicas": (many_replicas, None),
    "what replicas say, endlessly nested": (with_others(replicas__json=b'{"x":' + b"[" * 60_000), None),
    "what replicas say, in the far future": (
        with_others(replicas__json=b'{"since": 9e15, "replicas": {"gone": {"ca": "x", "at": 9e15}}}'),
        None,
    ),
    "a leaf's key of a megabyte": (with_others(tls__key=b"x" * 1_000_000), Reason.UNREADABLE),
    "nothing but garbage": (
        lambda _: dict.fromkeys(("ca.crt", "ca.key", "tls.crt"), b"\x00\xff"),
        Reason.UNREADABLE,
    ),
}


def stored(world: World) -> Data:
    assert world.secret is not None
    return dict(world.secret)


def reasons(world: World) -> set[Reason]:
    return set(sum((replica.report.reasons for replica in world.replicas), start=Counter()))


def assert_answered(world: World) -> None:
    """Each replica is ready, and a client that trusts the caBundle and nothing else gets through."""
    assert sum(map(len, stored(world).values())) < MOST_STORED
    assert len(read_certificates(world.ca_bundle)) <= MOST_TRUSTED
    assert set(read_bundle(stored(world)).trusted) <= set(read_certificates(world.ca_bundle))
    for replica in world.replicas:
        assert replica.source.is_proven
        handshake(replica.context, world.ca_bundle, NAME)


@pytest.mark.parametrize("name", BROKEN)
def test_after_a_restart_a_broken_secret_is_repaired_and_served_within_ten_seconds(name: str) -> None:
    content, reason = BROKEN[name]
    world = World(now=dt.datetime.now(dt.UTC))
    world.put(content(world.now))
    for _ in range(REPAIRED_S // LOOK_S):
        world.look(1, LOOK_S)
        assert len(read_certificates(world.ca_bundle)) <= MOST_TRUSTED
    assert_answered(world)
    assert reasons(world) == ({reason} if reason else set())


@pytest.mark.parametrize("name", BROKEN)
def test_while_a_broken_secret_is_repaired_what_is_served_stays_in_service(name: str) -> None:
    content, reason = BROKEN[name]
    world = World(now=dt.datetime.now(dt.UTC))
    world.look(3)
    world.put(content(world.now))
    for _ in range(REPAIRED_S // LOOK_S):
        world.look(1, LOOK_S)
        for replica in world.replicas:
            handshake(replica.context, world.ca_bundle, NAME)
    assert_answered(world)
    assert reason is None or reasons(world)
    world.look(12, every_s=LOOK_S)
    world.let_pass(60)
    world.look(12, every_s=LOOK_S)
    assert_answered(world)
    assert len(read_bundle(stored(world)).trusted) == 1
    assert world.turned_away == []


@pytest.mark.parametrize(
    "usable",
    [
        Recipe(without=(x509.KeyUsage,), adding={key_usage(*SIGNS, "key_agreement"): True}),
        Recipe(adding={x509.NameConstraints([x509.DNSName("svc")], None): True}),
    ],
    ids=["further usages", "a constraint to our own names"],
)
def test_an_authority_of_others_that_works_stays(usable: Recipe) -> None:
    world = World(now=dt.datetime.now(dt.UTC))
    world.put(signing(usable)(world.now))
    before = stored(world)
    world.look(5)
    assert_answered(world)
    assert reasons(world) == set()
    assert stored(world)["tls.crt"] == before["tls.crt"]


def test_a_replacement_that_is_said_to_begin_in_the_far_future_ends_in_seconds() -> None:
    world = World(now=dt.datetime.now(dt.UTC))
    previous = new_authority("previous", world.now, DAY).certificate.pem
    world.put({**leaf(Recipe())(world.now), "previous-ca.crt": previous, "replicas.json": b'{"since": 9e15}'})
    world.look(20)
    assert len(read_bundle(stored(world)).trusted) == 1
    assert_answered(world)


def test_while_the_secret_is_missing_what_is_served_stays_and_is_put_back_when_it_is_there_again() -> None:
    world = World()
    world.look(3)
    served = stored(world)
    world.put(None)
    world.look(5)
    assert all(replica.source.is_proven for replica in world.replicas)
    world.put({})
    world.look(1)
    assert stored(world)["tls.crt"] == served["tls.crt"]
    assert reasons(world) == {Reason.MISSING}
    world.look(40)
    assert stored(world)["ca.crt"] != served["ca.crt"]
    assert world.turned_away == []
