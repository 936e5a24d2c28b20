"""Whether a client like the API server accepts a pair: tried in memory before the pair is served.

Two judges, and both must agree. `cryptography` checks the path as strictly as Go's crypto/x509 or more so: SHA-1,
weak keys, name constraints, key usage, unknown critical extensions and a name that stands in the subject alone are
refused. OpenSSL then goes through a whole handshake in memory. Neither checks the time: `rotation` judges
how long a certificate lasts, with the caller's clock.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from certs.errors import PairError
from certs.pairs import new_leaf
from certs.serving import server_context

if TYPE_CHECKING:
    from certs.pairs import Certificate, Pair

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python's ssl does not name."""

_MOST_FLIGHTS = 8
"""Turns of a handshake: it takes three."""

_USAGES = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)


@lru_cache(maxsize=16)
def refusal(leaf: Pair, issuer: Certificate, announced: bytes, names: frozenset[str]) -> str | None:
    """Why a client that trusts `announced` (PEM) refuses the leaf under one of these names; None where none does.

    `issuer` is the announced authority that signed it.
    """
    try:
        _check_path(leaf.certificate, issuer, names)
        context = server_context(leaf.certificate.pem, leaf.key)
        for name in sorted(names):
            _shake_hands(context, announced, name)
    except Exception as error:  # noqa: BLE001  whatever a judge raises, it does not accept the pair
        return f"{type(error).__name__}: {error}"[:200]
    return None


@lru_cache(maxsize=16)
def can_sign(authority: Pair, names: frozenset[str]) -> bool:
    """Whether a client accepts a leaf for these names that the authority signs: tried with one."""
    begins = authority.certificate.begins
    try:
        leaf = new_leaf(authority, names, begins, dt.timedelta(hours=1))
    except Exception:  # noqa: BLE001  a key of another kind, a name that cannot be encoded: it signs nothing
        return False
    return refusal(leaf, authority.certificate, authority.certificate.pem, names) is None


def check_alone(chain: bytes, key: bytes, leaf: Certificate, now: dt.datetime) -> None:
    """Check a pair whose authority is not known: all that Go checks of the leaf itself. Raises PairError."""
    if (fault := _fault_of_leaf(leaf, now)) is not None:
        raise PairError(f"the API server would refuse it: {fault}")
    try:
        _shake_hands(server_context(chain, key), None, "")
    except ssl.SSLError as error:
        raise PairError(f"a handshake with it fails: {error.reason}") from error


def _check_path(leaf: Certificate, issuer: Certificate, names: frozenset[str]) -> None:
    builder = PolicyBuilder().store(Store([issuer.parsed])).time(max(leaf.begins, issuer.begins))
    for name in names:
        builder.build_server_verifier(_subject(name)).verify(leaf.parsed, [])


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _shake_hands(server_side: ssl.SSLContext, trusted: bytes | None, name: str) -> None:
    """A handshake in memory. Raises ssl.SSLError. Where `trusted` is None the client takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.verify_flags = ssl.VerifyFlags(
            ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        )  # roots as Go has them
        context.load_verify_locations(cadata=trusted.decode())
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name or None)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(_MOST_FLIGHTS):
        waiting = [side for side in waiting if not _advance(side)]
    if waiting:
        raise ssl.SSLError("the handshake does not end")


def _advance(side: ssl.SSLObject) -> bool:
    """Continue the handshake of one side, as far as the other one has come; whether it is complete."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _fault_of_leaf(leaf: Certificate, now: dt.datetime) -> str | None:
    parsed, key = leaf.parsed, leaf.parsed.public_key()
    usages = leaf.usages()
    if now > leaf.expires:
        return f"it ended at {leaf.expires.isoformat()}"
    if now < leaf.begins:
        return f"it begins at {leaf.begins.isoformat()}"
    if not leaf.names():
        return "it has no subject alternative name, and the common name does not count"
    if usages and not _USAGES.intersection(usages):
        return "its extended key usage is not serverAuth"
    if isinstance(parsed.signature_hash_algorithm, _BROKEN_HASHES):
        return f"it is signed with {parsed.signature_hash_algorithm.name}"
    if any(one.critical and isinstance(one.value, x509.UnrecognizedExtension) for one in parsed.extensions):
        return "it has a critical extension that is not known"
    is_known = isinstance(key, (rsa.RSAPublicKey, ed25519.Ed25519PublicKey)) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)
    )
    return None if is_known else "its key is of a kind that Go's TLS does not have"
