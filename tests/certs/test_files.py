"""A pair in files is served only where the API server, whose checks are Go's, would accept it."""

import datetime as dt
import os
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.errors import PairError
from certs.files import CertificateFiles
from certs.serving import ServingContext
from tests.support.odd_certificates import DAY, NAME, Odd, Recipe, ed, p224, rsa2048, with_sha1
from tests.support.shared_certificates import RecordedReport, handshake

NOW = dt.datetime.now(dt.UTC)
AUTHORITY = Recipe(key=rsa2048).authority(NOW)
USAGE, NAMES = x509.ExtendedKeyUsage, x509.SubjectAlternativeName
ANY, CLIENT = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CLIENT_AUTH
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def of(recipe: Recipe) -> Callable[[], Odd]:
    return lambda: recipe.leaf(NOW, AUTHORITY)


REFUSED: dict[str, tuple[Callable[[], Odd], str]] = {
    "expired": (of(Recipe(begins=-2 * DAY, ends=-DAY)), "it ended at"),
    "not valid yet": (of(Recipe(begins=DAY, ends=2 * DAY)), "it begins at"),
    "a name in the subject alone": (of(Recipe(without=(NAMES,))), "no subject alternative name"),
    "for clients only": (of(Recipe(without=(USAGE,), adding={USAGE([CLIENT]): False})), "not serverAuth"),
    "signed with SHA-1": (lambda: with_sha1(NOW), "signed with sha1"),
    "an unknown critical extension": (of(Recipe(adding={UNKNOWN: True})), "a critical extension"),
    "a curve that Go does not have": (of(Recipe(key=p224)), "Go's TLS does not have"),
    "too large": (
        of(Recipe(adding={x509.UnrecognizedExtension(UNKNOWN.oid, bytes(50_000)): False})),
        "characters",
    ),
}
ACCEPTED: dict[str, Callable[[], Odd]] = {
    "an ordinary one": of(Recipe()),
    "a key of RSA": of(Recipe(key=rsa2048)),
    "a key of Ed25519": of(Recipe(key=ed)),
    "for everything": of(Recipe(without=(USAGE,))),
    "for any usage": of(Recipe(without=(USAGE,), adding={USAGE([ANY]): False})),
    "an authority that signs itself": lambda: Recipe(adding={NAMES([x509.DNSName(NAME)]): False}).authority(NOW),
}


class Scene:
    """Two files, and what is served of them."""

    def __init__(self, folder: Path) -> None:
        self.report, self.context = RecordedReport(), ServingContext()
        self._paths = folder / "tls.crt", folder / "tls.key"
        self.files = CertificateFiles(*self._paths, self.context, self.report, lambda: NOW)

    def write(self, pair: Odd) -> None:
        for path, text in zip(self._paths, (pair.pem, pair.key), strict=True):
            path.write_bytes(text)

    def served(self) -> bytes | None:
        return handshake(self.context, AUTHORITY.pem, NAME).getpeercert(binary_form=True)


@pytest.mark.parametrize("name", REFUSED)
def test_a_pair_that_the_api_server_would_refuse_is_refused_at_start_with_words(tmp_path: Path, name: str) -> None:
    pair, words = REFUSED[name]
    scene = Scene(tmp_path)
    scene.write(pair())
    with pytest.raises(PairError, match=words):
        scene.files.load()
    with pytest.raises(ssl.SSLError):
        scene.served()


@pytest.mark.parametrize("name", REFUSED)
def test_such_a_pair_is_refused_on_reload_and_the_one_before_stays(tmp_path: Path, name: str) -> None:
    scene = Scene(tmp_path)
    scene.write(Recipe().leaf(NOW, AUTHORITY))
    scene.files.load()
    before = scene.served()
    scene.write(REFUSED[name][0]())
    scene.files.reload()
    assert scene.report.reloads == {"loaded": 1, "refused": 1}
    assert scene.served() == before


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_pair_that_the_api_server_accepts_is_served(tmp_path: Path, name: str) -> None:
    scene = Scene(tmp_path)
    scene.write(ACCEPTED[name]())
    scene.files.load()
    assert scene.report.reloads == {"loaded": 1}


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _long(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 20_000)


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a FIFO without a writer": (_fifo, "not a regular file"),
    "a folder": (_folder, "not a regular file"),
    "a device without an end": (_device, "not a regular file"),
    "20 MB of certificates": (_long, "bytes"),
}


@pytest.mark.parametrize("of_key", [True, False])
@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_of_a_certificates_size_is_refused_at_once_and_leaves_nothing_open(
    tmp_path: Path, name: str, *, of_key: bool
) -> None:
    scene = Scene(tmp_path)
    scene.write(Recipe().leaf(NOW, AUTHORITY))
    scene.files.load()
    before = scene.served()
    spoil, words = NO_FILES[name]
    spoil(tmp_path / ("tls.key" if of_key else "tls.crt"))
    opened = len(list(Path("/proc/self/fd").iterdir()))
    tracemalloc.start()
    for _ in range(3):
        scene.files.reload()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scene.report.reloads == {"loaded": 1, "refused": 1}
    assert scene.served() == before
    assert peak < 2 * 2**20
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    with pytest.raises(PairError, match=words):
        scene.files.load()
