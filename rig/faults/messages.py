"""HTTP/1.1 messages as far as a proxy has to read them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import httptools

_CHUNK = 65536


@dataclass(frozen=True)
class Request:
    """One request, as its bytes came (`raw`). Header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self.target).path

    @property
    def is_watch(self) -> bool:
        """Whether it asks a Kubernetes API server for a stream of changes."""
        return "true" in parse_qs(urlsplit(self.target).query).get("watch", [])

    @cached_property
    def action(self) -> str:
        """The action of AWS's Query protocol, or nothing."""
        form = self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return parse_qs(self.body.decode()).get("Action", [""])[0] if form else ""


@dataclass(frozen=True)
class Answer:
    """One answer with its whole body."""

    status: int
    content_type: str
    body: bytes

    @property
    def head(self) -> bytes:
        """Status line and headers; no other answer follows on the connection."""
        line = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
        headers = f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n"
        return f"{line}{headers}\r\n".encode()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request of a connection; None where the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (header.partition(":") for header in lines if header)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = line.split(" ", 2)
    return Request(method, target, headers, body, head + body)


class Incoming:
    """One answer while it arrives. Once it has been read, `keep_alive` says whether another may follow."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._complete = False
        self.keep_alive = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes as they come, until its end."""
        while not self._complete:
            data = await self._reader.read(_CHUNK)
            if not data:
                return
            self._parser.feed_data(data)
            yield data

    async def whole(self) -> Answer:
        """All of it, without what the transport added."""
        async for _ in self.pieces():
            pass
        content_type = self._headers.get("content-type", "application/octet-stream")
        return Answer(self._parser.get_status_code(), content_type, bytes(self._body))

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools: the end."""
        self._complete = True
        self.keep_alive = self._parser.should_keep_alive()
