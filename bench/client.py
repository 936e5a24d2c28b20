"""Clients of the API server that cost little beside what is measured: keep-alive, requests rendered beforehand."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import httptools

from rig.kubernetes.cluster import Cluster

FIRST_ERROR = 400


class Requests:
    """Renders requests to a cluster's API server as admin, so that sending one is a single write."""

    def __init__(self, cluster: Cluster) -> None:
        token = cluster.server.credentials.tokens["admin"]
        self._headers = f"Host: {cluster.url.removeprefix('https://')}\r\nAuthorization: Bearer {token}\r\n"

    def create(self, collection: str, item: dict[str, Any]) -> bytes:
        """Return the request that creates an object in the collection of that path."""
        body = json.dumps(item).encode()
        headers = f"{self._headers}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"POST {collection} HTTP/1.1\r\n{headers}\r\n".encode() + body

    def delete(self, path: str) -> bytes:
        """Return the request that deletes the object of that path."""
        return f"DELETE {path} HTTP/1.1\r\n{self._headers}\r\n".encode()


class Client(asyncio.Protocol):
    """One open connection, for one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    async def send(self, request: bytes) -> float:
        """Return the seconds until the whole answer was there. Raises RuntimeError for an HTTP error."""
        if self._transport is None:
            raise ConnectionResetError("the API server has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(request)
        await self._answer
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio: a part of an answer is there."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is closed."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the API server closed the connection"))

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools: the answer's end."""
        status, body = self._parser.get_status_code(), b"".join(self._body)
        self._body.clear()
        if self._answer is None or self._answer.done():
            return
        if status < FIRST_ERROR:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(RuntimeError(f"{status} {body[:300]!r}"))


@asynccontextmanager
async def clients(cluster: Cluster, count: int) -> AsyncIterator[list[Client]]:
    """So many open connections, for the length of an `async with` block."""
    host, port = cluster.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(cluster.ca_file))
    loop = asyncio.get_running_loop()
    opened: list[Client] = []
    try:
        for _ in range(count):
            _, client = await loop.create_connection(Client, host, int(port), ssl=context)
            opened.append(client)
        yield opened
    finally:
        for client in opened:
            client.close()


async def send_all(opened: Sequence[Client], requests: Sequence[bytes]) -> list[float]:
    """Send each client its share of the requests, one after another; returns the seconds of each."""

    async def share(number: int) -> list[float]:
        mine = islice(requests, number, None, len(opened))
        return [await opened[number].send(request) for request in mine]

    shares = await asyncio.gather(*(share(number) for number in range(len(opened))))
    return [seconds for each in shares for seconds in each]
