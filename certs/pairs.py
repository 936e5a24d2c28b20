"""A certificate with its private key: made, read and written in PEM (P-256, as small and fast as TLS has it)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import BundleError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST_BACKDATING = dt.timedelta(hours=1)
_RENEWED_AT = 2 / 3
_PEM_END = b"-----END CERTIFICATE-----"
_LONGEST_PEM = 16384
"""Characters of a certificate or a key: theirs are below 3,000, and what is larger fits no handshake."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that has been read, all of it; two are equal where their bytes are."""

    pem: bytes
    parsed: x509.Certificate = field(compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        return self.parsed.fingerprint(hashes.SHA256()).hex()

    @property
    def begins(self) -> dt.datetime:
        """Its first moment."""
        return self.parsed.not_valid_before_utc

    @property
    def expires(self) -> dt.datetime:
        """Its last moment."""
        return self.parsed.not_valid_after_utc

    @property
    def renewed_from(self) -> dt.datetime:
        """When two thirds of its life are over (the rule of cert-manager, and of the kubelet)."""
        return self.begins + (self.expires - self.begins) * _RENEWED_AT

    @property
    def is_authority(self) -> bool:
        """Whether it may sign others."""
        try:
            return self.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            return False

    def is_valid(self, now: dt.datetime) -> bool:
        """Whether `now` lies within its life."""
        return self.begins <= now <= self.expires

    def names(self) -> frozenset[str]:
        """The DNS names and IP addresses that it is for."""
        try:
            found = self.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return frozenset()
        return frozenset(
            [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
        )

    def usages(self) -> frozenset[x509.ObjectIdentifier]:
        """Its extended key usages; none where it is for everything."""
        try:
            return frozenset(self.parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        except x509.ExtensionNotFound:
            return frozenset()

    def is_signed_by(self, authority: Certificate) -> bool:
        """Whether that authority signed it."""
        try:
            self.parsed.verify_directly_issued_by(authority.parsed)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, which are known to belong together."""

    certificate: Certificate
    key: bytes = field(repr=False)

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Pair:
        """The pair in two PEM texts. Raises BundleError: unreadable, or not each other's."""
        (found,) = read_certificates(certificate, exactly=1)
        _check_length(key)
        with _unreadable("the private key"):
            private = serialization.load_pem_private_key(key, password=None)
            belongs = private.public_key() == found.parsed.public_key()
        if not belongs:
            raise BundleError(Reason.KEY_MISMATCH, "the private key is not that of the certificate")
        return cls(found, key)


def read_certificates(text: bytes, *, exactly: int | None = None) -> tuple[Certificate, ...]:
    """The certificates of a PEM text in their order. Raises BundleError for anything else."""
    with _unreadable("the certificate"):
        parsed = x509.load_pem_x509_certificates(text) if _PEM_END in text else []
        found = tuple(_wrapped(certificate) for certificate in parsed)
    if exactly is not None and len(found) != exactly:
        raise BundleError(Reason.UNREADABLE, f"{len(found)} certificates are where {exactly} should be")
    for certificate in found:
        _check_length(certificate.pem)
    return found


@contextmanager
def _unreadable(what: str) -> Iterator[None]:
    """Raise BundleError for whatever a parser raises: external input can make it raise anything."""
    try:
        yield
    except Exception as error:
        message = f"{what} cannot be read: {type(error).__name__}: {error}"
        raise BundleError(Reason.UNREADABLE, message[:200]) from error


def _check_length(pem: bytes) -> None:
    if len(pem) > _LONGEST_PEM:
        raise BundleError(Reason.UNREADABLE, f"{len(pem)} characters are more than a certificate or a key has")


def new_authority(name: str, now: dt.datetime, validity: dt.timedelta) -> Pair:
    """A new self-signed authority that may sign leaves and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    signed = (
        _started(subject, subject, key.public_key(), now, now + validity, validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(signed, key)


def new_leaf(authority: Pair, names: Iterable[str], now: dt.datetime, validity: dt.timedelta) -> Pair:
    """A new serving certificate for DNS names and IP addresses; it does not outlive its authority."""
    wanted = sorted(names)
    signer = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise BundleError(Reason.UNREADABLE, "the authority's key is not of an elliptic curve")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.parsed
    until = min(now + validity, authority.certificate.expires)
    signed = (
        _started(_named(wanted[0]), issuer.subject, key.public_key(), now, until, validity)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_identifier(issuer), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pair(signed, key)


def _started(  # noqa: PLR0913, PLR0917  the parts of every certificate
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    until: dt.datetime,
    validity: dt.timedelta,
) -> x509.CertificateBuilder:
    """A certificate that is valid a little earlier than now: the API server's clock may be behind this one."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(_LONGEST_BACKDATING, validity / 10))
        .not_valid_after(until)
    )


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)  # type: ignore[arg-type]  # it is an EC key
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # RFC 5280: 64 characters at most


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(_wrapped(certificate), pem)


def _wrapped(certificate: x509.Certificate) -> Certificate:
    """The certificate; what is read of it later has been parsed once, so that it does not raise then."""
    _ = certificate.extensions, certificate.public_key(), certificate.signature_hash_algorithm
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM), certificate)
