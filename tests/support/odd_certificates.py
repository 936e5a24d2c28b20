"""Certificates that no rule of ours would make: of other keys, with other extensions, at other times."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME = "webhook.mxp-identity.svc"
DAY = dt.timedelta(days=1)
SIGNS = {"digital_signature", "key_cert_sign", "crl_sign"}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def p256() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def p224() -> Any:
    return ec.generate_private_key(ec.SECP224R1())


def rsa2048() -> Any:
    return rsa.generate_private_key(65537, 2048)


def ed() -> Any:
    return ed25519.Ed25519PrivateKey.generate()


def key_usage(*names: str) -> x509.KeyUsage:
    """Those usages and no others."""
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


@dataclass(frozen=True)
class Odd:
    """A certificate and its key."""

    certificate: x509.Certificate
    private: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.encoded(serialization.NoEncryption())

    def encoded(self, encryption: serialization.KeySerializationEncryption) -> bytes:
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return bytes(self.private.private_bytes(pem, form, encryption))


@dataclass(frozen=True)
class Recipe:
    """How to make one; `without` and `adding` change the extensions that an ordinary one has."""

    key: Callable[[], Any] = p256
    begins: dt.timedelta = -DAY
    ends: dt.timedelta = DAY
    without: tuple[type[x509.ExtensionType], ...] = ()
    adding: Mapping[x509.ExtensionType, bool] = field(default_factory=dict)

    def authority(self, now: dt.datetime) -> Odd:
        """An authority that signs itself."""
        key = self.key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mxp-identity-webhook")])
        ordinary: dict[x509.ExtensionType, bool] = {
            x509.BasicConstraints(ca=True, path_length=0): True,
            key_usage(*SIGNS): True,
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()): False,
        }
        return self._signed(now, name, key, ordinary, Odd(None, key), name)  # type: ignore[arg-type]  # itself

    def leaf(self, now: dt.datetime, signer: Odd) -> Odd:
        """A leaf of that authority."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        ordinary: dict[x509.ExtensionType, bool] = {
            x509.SubjectAlternativeName([x509.DNSName(NAME)]): False,
            x509.BasicConstraints(ca=False, path_length=None): True,
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]): False,
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.private.public_key()): False,
        }
        return self._signed(now, name, self.key(), ordinary, signer, signer.certificate.subject)

    def _signed(  # noqa: PLR0913, PLR0917  the parts of a certificate
        self,
        now: dt.datetime,
        subject: x509.Name,
        key: Any,
        ordinary: Mapping[x509.ExtensionType, bool],
        signer: Odd,
        issuer: x509.Name,
    ) -> Odd:
        builder = x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), now + self.begins, now + self.ends
        )
        kept = {value: critical for value, critical in ordinary.items() if not isinstance(value, self.without)}
        for value, critical in {**kept, **self.adding}.items():
            builder = builder.add_extension(value, critical=critical)
        algorithm = None if isinstance(signer.private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return Odd(builder.sign(signer.private, algorithm), key)


def parts(**pairs: Odd) -> dict[str, bytes]:
    """Pairs as a Secret has them, by the names of their files (`next_ca` for `next-ca`)."""
    return {
        f"{name.replace('_', '-')}.{suffix}": value
        for name, pair in pairs.items()
        for suffix, value in (("crt", pair.pem), ("key", pair.key))
    }


def with_sha1(now: dt.datetime) -> Odd:
    """A leaf that an RSA authority signed with SHA-1, which `cryptography` does not make any more."""
    sha256, sha1 = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105")
    signer = Recipe(key=rsa2048).authority(now)
    leaf = Recipe().leaf(now, signer)
    body = leaf.certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = signer.private.sign(body, padding.PKCS1v15(), hashes.SHA1())
    whole = leaf.certificate.public_bytes(serialization.Encoding.DER)
    for old, new in (
        (leaf.certificate.tbs_certificate_bytes, body),
        (leaf.certificate.signature, signature),
        (sha256, sha1),
    ):
        whole = whole.replace(old, new)
    return Odd(x509.load_der_x509_certificate(whole), leaf.private)
