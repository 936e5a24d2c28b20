"""A certificate changes under a running server: open connections stay; what cannot be served changes nothing."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.errors import PairError
from certs.files import CertificateFiles
from certs.pairs import Pair, new_authority, new_leaf
from certs.serving import ServingContext, server_context
from tests.support.shared_certificates import RecordedReport, handshake

NAME = "webhook.mxp-identity.svc"


def authority() -> Pair:
    return new_authority("ca", dt.datetime.now(dt.UTC), dt.timedelta(days=1))


def leaf(signer: Pair) -> Pair:
    return new_leaf(signer, [NAME], dt.datetime.now(dt.UTC), dt.timedelta(hours=1))


def served(context: ServingContext, trusted: Pair) -> bytes | None:
    return handshake(context, trusted.certificate.pem, NAME).getpeercert(binary_form=True)


def der(pair: Pair) -> bytes:
    return pair.certificate.parsed.public_bytes(serialization.Encoding.DER)


def encrypted(key: bytes) -> bytes:
    private = serialization.load_pem_private_key(key, password=None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_before_the_first_certificate_every_handshake_fails() -> None:
    with pytest.raises(ssl.SSLError):
        served(ServingContext(), authority())


def test_the_next_handshake_gets_the_new_certificate_and_open_connections_keep_theirs() -> None:
    context, ca = ServingContext(), authority()
    first, second = leaf(ca), leaf(ca)
    context.load(first.certificate.pem, first.key)
    before = handshake(context, ca.certificate.pem, NAME)
    context.load(second.certificate.pem, second.key)
    assert served(context, ca) == der(second)
    assert before.getpeercert(binary_form=True) == der(first)


def test_a_pair_that_cannot_be_served_is_refused_without_its_key_and_the_one_before_stays() -> None:
    context, ca = ServingContext(), authority()
    good, other = leaf(ca), leaf(ca)
    context.load(good.certificate.pem, good.key)
    for certificate, key in (
        (other.certificate.pem, good.key),
        (b"garbage", other.key),
        (other.certificate.pem, b"garbage"),
        (other.certificate.pem, encrypted(other.key)),
        (b"", b""),
    ):
        with pytest.raises(PairError) as refusal:
            context.load(certificate, key)
        assert "PRIVATE" not in str(refusal.value)
        assert served(context, ca) == der(good)


def test_tls_older_than_1_2_is_refused() -> None:
    """Whatever Python's build and OpenSSL's settings allow."""
    pair = leaf(authority())
    for context in (ServingContext().context, server_context(pair.certificate.pem, pair.key)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_keys_do_not_show_where_a_pair_is_printed() -> None:
    pair = leaf(authority())
    assert b"PRIVATE" in pair.key
    assert "PRIVATE" not in repr(pair)
    assert isinstance(serialization.load_pem_private_key(pair.key, None), ec.EllipticCurvePrivateKey)


def test_new_files_are_served_and_bad_ones_reported_once(tmp_path: Path) -> None:
    ca, report, context = authority(), RecordedReport(), ServingContext()
    first, second = leaf(ca), leaf(ca)
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(first.certificate.pem)
    key.write_bytes(first.key)
    files = CertificateFiles(certificate, key, context, report, lambda: dt.datetime.now(dt.UTC))
    files.load()
    files.reload()
    assert report.reloads == {"loaded": 1}
    assert report.ends == (first.certificate.expires, None)

    certificate.write_bytes(second.certificate.pem)
    files.reload()
    files.reload()
    assert report.reloads == {"loaded": 1, "refused": 1}
    assert served(context, ca) == der(first)

    key.write_bytes(second.key)
    files.reload()
    assert report.reloads == {"loaded": 2, "refused": 1}
    assert served(context, ca) == der(second)

    key.unlink()
    files.reload()
    assert report.reloads == {"loaded": 2, "refused": 2}
    assert served(context, ca) == der(second)
