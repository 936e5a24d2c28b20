"""A certificate and its key in two files that others renew: cert-manager, or a person.

Which authorities callers trust is not known here, so a pair is judged by itself: see `proving.check_alone`.
"""

from __future__ import annotations

import os
import stat
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


_MOST_BYTES = 256 * 1024
"""Bytes of a file: a handshake carries a chain of 100 KiB at most (OpenSSL's SSL_MAX_CERT_LIST_DEFAULT)."""


class CertificateFiles:
    """Two PEM files; `reload` serves a new pair as soon as both are there and fit.

    Both methods read files, which can take its time: call them in a thread where something else has to go on.
    """

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
        self._reported = ""

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

    def reload(self) -> None:
        """As `load`, but a pair that cannot be used is reported, once, and the one before stays in service."""
        try:
            self.load()
        except (PairError, OSError) as error:
            problem = error.strerror or "" if isinstance(error, OSError) else str(error)
            if problem != self._reported:
                self._report.reloaded("refused", problem)
            self._reported = problem
        else:
            self._reported = ""

    def _read(self) -> tuple[bytes, bytes]:
        """Both files; a kubelet may exchange them between one and the other, so the first is read twice."""
        certificate, key = self._paths
        while True:
            before = read_file(certificate)
            found = read_file(key)
            if read_file(certificate) == before:
                return before, found


def read_file(path: Path) -> bytes:
    """What a file holds. Raises OSError where it cannot be read, PairError where it is none or too large.

    It opens without waiting: to open a FIFO would take until another process writes to it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PairError(f"{path.name} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MOST_BYTES:
        raise PairError(f"{path.name} has more than {_MOST_BYTES} bytes")
    return content


def _leaf(chain: bytes) -> Certificate:
    """The first certificate of the chain."""
    try:
        return read_certificates(chain)[0]
    except BundleError as error:
        raise PairError(f"not a certificate chain in PEM: {error}") from error
    except IndexError as error:
        raise PairError("not a certificate chain in PEM") from error
