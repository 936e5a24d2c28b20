"""Endpoints on loopback that cannot be reached, each for another reason."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from rig.pki import Authority
from tests.support.misbehaving import Between, answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_NAME = "https://aws.invalid"
"""A name that no server knows (RFC 6761)."""


@contextmanager
def refusing() -> Iterator[str]:
    """Nothing listens on the port."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{reserved.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """The system drops what begins a connection, because none waiting there is ever accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """TLS with a certificate of a CA that is not public."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority("corporate").issue("aws").write(folder, "aws"))
    with _accepting(context) as url:
        yield url


@contextmanager
def resetting() -> Iterator[str]:
    """Connections are closed in the TLS handshake."""
    with _accepting(None) as url:
        yield url


@contextmanager
def plain() -> Iterator[str]:
    """A server without TLS, at an address that says TLS."""
    with _accepting(None, answer(400, b"this is HTTP")) as url:
        yield url


@contextmanager
def proxy(status: int) -> Iterator[str]:
    """A proxy that opens no tunnel."""
    with Between(0) as between:
        between.misbehave(answer(status, b"blocked"))
        yield between.url


@contextmanager
def _accepting(context: ssl.SSLContext | None, reply: bytes = b"") -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    if context is None:
                        connection.recv(1)  # not all of it, so that the end of the connection resets it
                        connection.sendall(reply)
                    else:
                        context.wrap_socket(connection, server_side=True).close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
