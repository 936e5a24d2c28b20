"""A certificate and its key in two files that others renew: cert-manager, or a person.

Which authorities callers trust is not known here, so a pair is judged by itself: see `proving.check_alone`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.errors import BundleError, PairError
from certs.pairs import read_certificates
from certs.proving import check_alone

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from certs.pairs import Certificate
    from certs.report import Report
    from certs.serving import ServingContext


class CertificateFiles:
    """Two PEM files; `look` takes a new pair into service as soon as both are there and fit."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        context: ServingContext,
        report: Report,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._paths = certificate, key
        self._context = context
        self._report = report
        self._clock = clock
        self._last: tuple[bytes, bytes] | None = None
        self._complaint = ""

    def load(self) -> None:
        """Take the pair into service. Raises PairError, and OSError where a file cannot be read."""
        read = self._read()
        if read != self._last:
            leaf = _leaf(read[0])
            check_alone(*read, leaf, self._clock())
            self._context.load(*read)
            self._last = read
            self._report.expiries(leaf.expires, None)
            self._report.reloaded("loaded", f"valid until {leaf.expires.isoformat()}")

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


def _leaf(chain: bytes) -> Certificate:
    """The first certificate of the chain."""
    try:
        return read_certificates(chain)[0]
    except BundleError as error:
        raise PairError(f"not a certificate chain in PEM: {error}") from error
    except IndexError as error:
        raise PairError("not a certificate chain in PEM") from error
