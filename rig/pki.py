"""Certificates for what the rig starts: an authority made for one run and short-lived leaves (P-256)."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ("localhost", "127.0.0.1")
CLOCK_SKEW = dt.timedelta(minutes=5)
LIFETIME = dt.timedelta(days=7)
SERVICE_ACCOUNT_KEY_BITS = 2048  # RS256, which is what EKS signs with


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write `<stem>.crt` and `<stem>.key` (readable by the owner only) and return their paths."""
        certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
        certificate.write_text(self.certificate)
        write_private(key, self.key)
        return certificate, key


class Authority:
    """A certificate authority that lives as long as this object; its key never leaves it.

    Without `identified` no certificate has a key identifier, as in clusters of EKS.
    """

    def __init__(self, name: str = "rig", *, identified: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identified = identified
        self._name = _named(name)
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
        builder = (
            _valid(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        if identified:
            identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, hosts: Sequence[str] = LOOPBACK, lifetime: dt.timedelta = LIFETIME) -> KeyPair:
        """Return a serving certificate for `hosts` (DNS names and IP addresses), valid for 7 days by default."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(_named(name), ExtendedKeyUsageOID.SERVER_AUTH, lifetime, names)

    def issue_client(self, name: str, group: str) -> KeyPair:
        """Return a certificate to call with, as a Kubernetes user of a group, valid for 7 days."""
        organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)
        subject = x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(subject, ExtendedKeyUsageOID.CLIENT_AUTH, LIFETIME)

    def _issue(
        self, subject: x509.Name, usage: x509.ObjectIdentifier, lifetime: dt.timedelta, *more: x509.ExtensionType
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _valid(subject, self._name, key.public_key(), lifetime)
        if self._identified:
            more = (*more, x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()))
        for extension in (x509.ExtendedKeyUsage([usage]), *more):
            builder = builder.add_extension(extension, critical=False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), _private_pem(key))


def service_account_key() -> tuple[str, str]:
    """Return a new key for signing ServiceAccount tokens: private and public part, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=SERVICE_ACCOUNT_KEY_BITS)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _private_pem(key), public.decode()


def write_private(path: Path, text: str) -> None:
    """Write a file that only the owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)


def _valid(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: dt.timedelta = LIFETIME
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
