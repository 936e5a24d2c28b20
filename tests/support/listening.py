"""The program's own ports over real sockets, with limits that are over in a moment, and clients that misbehave."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from rig.pki import Authority
from webhook.server.connections import REVIEW_LIMITS, Limits
from webhook.server.listeners import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.types import ASGIApp

PATIENCE = 5.0
"""Seconds that a test waits at most for what takes a moment."""

SHORT = Limits(
    connections=12,
    body=REVIEW_LIMITS.body,
    head=4096,
    url=512,
    handshake_time=0.3,
    head_time=0.3,
    body_time=0.3,
    unread_time=0.3,
)


def on_sockets(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test in the loop that `serve` uses."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*arguments, **named))

    return run


@functools.cache
def server_context() -> ssl.SSLContext:
    """A certificate for loopback, made once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*Authority().issue("webhook").write(Path(folder), "server"))
    return context


@functools.cache
def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(slots=True)
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    """Status and headers of the last answer."""
    body: bytes = b""
    """Its body."""

    def send(self, data: bytes) -> None:
        """Send bytes, whatever becomes of them."""
        self.writer.write(data)

    async def flood(self, piece: bytes, total: int) -> bytes:
        """Send a piece again and again until so many bytes are sent or nothing more is taken; the first answer."""
        sent = 0
        try:
            while sent < total and not self.reader.at_eof():
                self.send(piece)
                sent += len(piece)
                await self.writer.drain()
        except ConnectionError:
            pass
        return await self.status()

    async def status(self) -> bytes:
        """The status of the next answer; empty where the connection is closed instead."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self.body = await self.reader.readexactly(int(line.split(b":")[1]))
        self.head = head
        return head.split(b" ")[1]

    async def is_closed(self, seconds: float = PATIENCE) -> bool:
        """Whether it is closed within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close it."""
        self.writer.transport.abort()


@dataclass(slots=True)
class Port:
    """A port of the program."""

    number: int
    tls: bool
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *, tls: bool | None = None, source: str = "127.0.0.1") -> Client:
        """Open a connection."""
        sock = socket.socket()
        sock.settimeout(0)
        sock.bind((source, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.number))
        secured = self.tls if tls is None else tls
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                sock=sock,
                ssl=_client_context() if secured else None,
                server_hostname="localhost" if secured else None,
            )
        client = Client(reader, writer)
        self.clients.append(client)
        return client


def post(body: Any, *, announced: int | None = None, path: str = "/mutate?timeout=10s") -> bytes:
    """A request with a body, of which more may be announced than is sent."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(content) if announced is None else announced
    return head(path, f"Content-Length: {length}") + content


def head(path: str = "/mutate", *headers: str) -> bytes:
    """A request without its body."""
    lines = [f"POST {path} HTTP/1.1", "Host: webhook", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


GET_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: webhook\r\n\r\n"


@asynccontextmanager
async def listening(application: ASGIApp, limits: Limits = SHORT, *, tls: bool = False) -> AsyncIterator[Port]:
    """A port for the length of an `async with` block."""
    listener = Listener(application, ("127.0.0.1", 0), "port", limits, server_context() if tls else None)
    serving = asyncio.create_task(listener.listen())
    port = Port(listener.port, tls)
    try:
        yield port
    finally:
        for client in port.clients:
            client.close()
        listener.stop()
        await serving
