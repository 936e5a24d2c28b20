"""Something between the program and AWS that answers in AWS's place, or badly, until it is told to stop."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (
    b'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>Blocked by \x1b[31mthe proxy\x00</title></head>\n'
    b"<body><p>Please log in" + b"." * 5000 + b"</body></html>"
)


def answer(status: int, body: bytes, content_type: str = "text/html") -> bytes:
    """A whole HTTP response."""
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def silent(connection: socket.socket) -> None:
    """Say nothing for as long as the other side waits."""
    connection.settimeout(20)
    with suppress(OSError):
        while connection.recv(65536):
            pass


def dripping(connection: socket.socket) -> None:
    """Send a byte of a head now and then, without an end."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.1)


def dripping_last(connection: socket.socket) -> None:
    """The same with a body, of an answer after which the connection carries no other."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.1)


def endless(connection: socket.socket) -> None:
    """Send a body without an end, as fast as it is taken."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"<a>" * 100_000)


class Between:
    """Listens on loopback and hands all on to `behind`, a port there, but while `misbehaviour` is set."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._misbehaviour: bytes | Callable[[socket.socket], None] | None = None
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def misbehave(self, how: bytes | Callable[[socket.socket], None] | None) -> None:
        """From now on, on new connections too, for those that are open are closed; None ends it."""
        self._misbehaviour = how
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.misbehave(None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with connection, suppress(OSError):
                if (how := self._misbehaviour) is None:
                    self._hand_on(connection)
                elif isinstance(how, bytes):
                    _read_request(connection)
                    connection.sendall(how)
                else:
                    _read_request(connection)
                    how(connection)
        finally:
            self._open.discard(connection)

    def _hand_on(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._behind)) as behind:
            back = threading.Thread(target=_pipe, args=(behind, connection), daemon=True)
            back.start()
            _pipe(connection, behind)
            back.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _read_request(connection: socket.socket) -> None:
    read = b""
    while b"\r\n\r\n" not in read:
        if not (data := connection.recv(65536)):
            return
        read += data
    head, _, body = read.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0 and (data := connection.recv(65536)):
        missing -= len(data)
