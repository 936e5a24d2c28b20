"""A certificate and its key in two files that somebody else renews: cert-manager, or a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.errors import BundleError, PairError
from certs.pairs import read_certificates

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from certs.report import Report
    from certs.serving import ServingContext


class CertificateFiles:
    """Two PEM files; `look` takes a new pair into service as soon as both are there and fit."""

    def __init__(self, certificate: Path, key: Path, context: ServingContext, report: Report) -> None:
        self._paths = certificate, key
        self._context = context
        self._report = report
        self._last: tuple[bytes, bytes] | None = None
        self._complaint = ""

    def load(self) -> None:
        """Take the pair into service. Raises PairError, and OSError where a file cannot be read."""
        read = self._read()
        if read != self._last:
            leaf = _leaf(read[0])
            self._context.load(*read)
            self._last = read
            self._report.expiries(leaf, None)
            self._report.reloaded("loaded", f"valid until {leaf.isoformat()}")

    def look(self) -> None:
        """As `load`, but what cannot be used is told, once, and the pair before stays in service."""
        try:
            self.load()
        except (PairError, OSError) as error:
            complaint = error.strerror or "" if isinstance(error, OSError) else str(error)
            if complaint != self._complaint:
                self._report.reloaded("refused", complaint)
            self._complaint = complaint
        else:
            self._complaint = ""

    def _read(self) -> tuple[bytes, bytes]:
        """Both files; a kubelet may exchange them between one and the other, so the first is read twice."""
        certificate, key = self._paths
        while True:
            before = certificate.read_bytes()
            found = key.read_bytes()
            if certificate.read_bytes() == before:
                return before, found


def _leaf(chain: bytes) -> dt.datetime:
    """When the first certificate of the chain ends."""
    try:
        return read_certificates(chain)[0].expires
    except (BundleError, IndexError) as error:
        raise PairError("not a certificate chain in PEM") from error
