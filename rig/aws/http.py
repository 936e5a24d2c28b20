"""A small HTTP/1.1 server: keep-alive, and the two things a web framework does not give away.

A handler may return None, which closes the connection without an answer; and it learns when its client has gone
away, but goes on: what reached AWS happens, whether anybody waits for the answer or not. Requests of one
connection are answered in order, connections never wait for each other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import httptools


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case. `gone` is set when nobody waits for the answer any more."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response | None]]


class Connection(asyncio.Protocol):
    """One client's connection. `open_connections` is the server's set of them, kept for closing."""

    def __init__(self, handler: Handler, open_connections: set["Connection"]) -> None:
        self._handler = handler
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._target, self._body, self._headers = b"", bytearray(), dict[str, str]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Tell the request in hand; those that wait behind it are dropped."""
        self._open.discard(self)
        self._transport = None
        self._gone.set()

    def close(self) -> None:
        """Close at once, without an answer."""
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is not HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_begin(self) -> None:
        """Start a request."""
        self._target, self._body, self._headers = b"", bytearray(), {}

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Tell a client that asks first to go on."""
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Queue the request; one task per connection works the queue off."""
        peer = self._transport.get_extra_info("peername") if self._transport else None
        request = Request(
            method=self._parser.get_method().decode(),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=bytes(self._body),
            peer=str(peer[0]) if peer else "",
            gone=self._gone,
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while self._waiting and self._transport:
            request, keep_alive = self._waiting.popleft()
            response = await self._handler(request)
            if response is None:
                self.close()
            else:
                self._send(response, keep_alive=keep_alive)

    def _send(self, response: Response, *, keep_alive: bool) -> None:
        if self._transport is None:
            return
        headers = {
            **response.headers,
            "Content-Length": str(len(response.body)),
            "Connection": "keep-alive" if keep_alive else "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n{lines}\r\n"
        self._transport.write(head.encode("latin-1") + response.body)
        if not keep_alive:
            self._transport.close()
