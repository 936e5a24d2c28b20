"""An API server on loopback that answers as it is told, be it with what no API server answers."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest


MIB = 1024 * 1024


class MisbehavingApiServer:
    """Answers each request with `answer`, on a thread of its own.

    `requests` are their first lines, `heads` all their headers; `connections` counts all who came.
    """

    def __init__(self, answer: Callable[[socket.socket, str], None], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self.stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which would keep all that is answered
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            connection = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            request = _request_of(connection)
            self.heads.append(request)
            self.requests.append(request.partition("\r\n")[0])
            self.answer(connection, request)


def _request_of(connection: socket.socket) -> str:
    """The request line and headers; the body is read as well."""
    with connection.makefile("rb") as reader:
        lines = []
        while (line := reader.readline()) not in {b"\r\n", b""}:
            lines.append(line.decode("latin-1"))
        length = next((int(one.split(":")[1]) for one in lines if one.lower().startswith("content-length:")), 0)
        reader.read(length)
    return "".join(lines)


def says(
    body: bytes | dict[str, Any], status: int = 200, length: int | None = None, kind: str = "application/json"
) -> Callable[[socket.socket, str], None]:
    """An answer; `length` is the one that it announces, where that is not its own."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    announced = len(content) if length is None else length
    head = f"HTTP/1.1 {status} Any\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\nConnection: close"
    return sends(f"{head}\r\n\r\n".encode() + content)


def sends(content: bytes) -> Callable[[socket.socket, str], None]:
    """These bytes, and the end of the connection."""
    return lambda connection, _: connection.sendall(content)


@contextmanager
def api_server(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket, str], None],
    *,
    user: dict[str, Any] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[MisbehavingApiServer]:
    """Such a server, with a KUBECONFIG that points to it; `user` is a part of that."""
    server = MisbehavingApiServer(answer, tls)
    address = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    file = folder / "kubeconfig"
    file.write_text(json.dumps(kubeconfig({"server": address}, user or {"token": "t"})))
    monkeypatch.setenv("KUBECONFIG", str(file))
    try:
        yield server
    finally:
        server.close()


def kubeconfig(cluster: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
    """A kubeconfig of one cluster and one user."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
