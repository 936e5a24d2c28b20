"""A SOCKS 5 proxy on loopback, without a password (RFC 1928): it connects to what it is asked for."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = 3


@contextmanager
def socks_proxy() -> Iterator[tuple[str, list[str]]]:
    """Its address, and the hosts that it was asked for."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, asked), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked


def _accept(listener: socket.socket, asked: list[str]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, asked), daemon=True).start()


def _serve(client: socket.socket, asked: list[str]) -> None:
    with suppress(OSError), client:
        _, methods = client.recv(2)
        client.recv(methods)
        client.sendall(b"\x05\x00")
        *_, kind = client.recv(4)
        host = client.recv(client.recv(1)[0]).decode() if kind == _NAME else socket.inet_ntoa(client.recv(4))
        port = int.from_bytes(client.recv(2), "big")
        asked.append(host)
        with socket.create_connection(("127.0.0.1", port)) as server:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            answers = threading.Thread(target=_pump, args=(server, client), daemon=True)
            answers.start()
            _pump(client, server)
            answers.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
