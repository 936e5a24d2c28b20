"""The TLS context of a running server, whose certificate changes without closing a connection."""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from certs.errors import PairError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ServingContext:
    """A server's TLS context (1.2 and newer); `context` is what the server is given, once.

    Each pair gets a context of its own, in which it is proven, and each new handshake is handed the last one that
    was. So a pair that is refused cannot touch what is served, and one of another kind of key leaves nothing of
    the one before. Connections that are open keep the certificate that they began with. Until the first pair is
    loaded every handshake fails.
    """

    def __init__(self) -> None:
        self.context = _empty_context()
        self._proven: ssl.SSLContext | None = None
        self.context.sni_callback = self._choose

    def load(self, certificate: bytes, key: bytes) -> None:
        """Serve this chain and its key (PEM) from the next handshake on. Raises PairError."""
        self._proven = server_context(certificate, key)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:  # noqa: ARG002
        """Called in every handshake, whether or not the client names a server."""
        if self._proven is not None:
            connection.context = self._proven


def server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A TLS context of its own for a chain and its key (PEM). Raises PairError, without a word of the key."""
    context = _empty_context()
    try:
        with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise PairError(f"not a certificate chain and its key in PEM: {reason}") from error
    return context


def _empty_context() -> ssl.SSLContext:
    """A context without a pair. Its oldest TLS is set here: Debian's Python leaves that to OpenSSL's settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is encrypted")


@contextmanager
def _as_file(text: bytes) -> Iterator[Path]:
    """A path to read `text` at: Python's ssl reads keys from paths alone, and keys belong on no disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(text)
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:  # not Linux
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            yield Path(file.name)
