"""Clients that send too much or too slowly, or do not read: they are closed, and honest ones are answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.listening import GET_HEALTH, SHORT, Client, Port, head, listening, on_sockets, post
from tests.support.reviews import review
from tests.support.samples import sample
from tests.support.sites import subject
from tests.support.worlds import World
from webhook.admission.routes import admission_router
from webhook.server.health import plain_application
from webhook.server.program import Lifecycle
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from starlette.types import Receive, Scope, Send

    from webhook.server.connections import Limits

MEGABYTE = 1_000_000
SUBJECT = subject(1)
CHUNKED = head("/mutate", "Transfer-Encoding: chunked")


def _reviews(limits: Limits = SHORT) -> AbstractAsyncContextManager[Port]:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    application = admission_router(world.service)
    return listening(application, limits, tls=True)


def _plain(limits: Limits = SHORT) -> AbstractAsyncContextManager[Port]:
    return listening(plain_application(Lifecycle(), Progress()), limits)


PORTS = {"reviews": _reviews, "plain": _plain}


async def _answers(port: Port, client: Client | None = None) -> None:
    """Fail unless an honest client is answered at once."""
    async with asyncio.timeout(2):
        client = client or await port.connect()
        client.send(post(review(SUBJECT)) if port.tls else GET_HEALTH)
        assert await client.status() == b"200"


TOO_MUCH = {
    "headers without end": (head()[:-2], b"X-Header: value\r\n", b"431"),
    "a header without end": (head()[:-2] + b"X-Header: ", b"x" * 1000, b"431"),
    "a name without end": (head()[:-2], b"x" * 1000, b"431"),
    "a URL without end": (b"GET /", b"x" * 1000, b"414"),
    "a method without end": (b"", b"G" * 1000, b"400"),
    "empty lines without end": (b"", b"\r\n" * 500, b"431"),
    "an extension of a chunk without end": (CHUNKED + b"1;x=", b"x" * 1000, b"431"),
    "trailers without end": (CHUNKED + b"0\r\n", b"X-Trailer: value\r\n", b"431"),
    "a trailer without end": (CHUNKED + b"0\r\nX-Trailer: ", b"x" * 1000, b"431"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n" * 100, b"431"),
}


@pytest.mark.parametrize("start", PORTS.values(), ids=PORTS.keys())
@pytest.mark.parametrize(("beginning", "piece", "status"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
@on_sockets
async def test_what_has_no_end_is_refused(start: object, beginning: bytes, piece: bytes, status: bytes) -> None:
    async with start() as port:  # type: ignore[operator]
        client = await port.connect()
        client.send(beginning)
        assert await client.flood(piece, 10 * MEGABYTE) in {status, b""}
        assert await client.is_closed()
        await _answers(port)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head(*["/mutate", f"X-Large: {'x' * 5000}"]), b"431"),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 1000), b"414"),
        (b"no HTTP at all\r\n\r\n", b"400"),
        (GET_HEALTH * 3, b"400"),
    ],
    ids=["headers", "a URL", "no HTTP", "requests before the answer to the first"],
)
@on_sockets
async def test_a_request_beyond_the_limits_gets_an_error(request_: bytes, status: bytes) -> None:
    async with _plain() as port:
        client = await port.connect()
        client.send(request_)
        assert await client.status() == status
        assert await client.is_closed()
        await _answers(port)


@on_sockets
async def test_a_body_for_which_there_is_no_use_is_not_read_to_its_end() -> None:
    async with _plain(replace(SHORT, body=1000, body_time=30)) as port:
        client = await port.connect()
        client.send(head("/healthz", f"Content-Length: {100 * MEGABYTE}"))
        await client.flood(b"x" * 10_000, 10 * MEGABYTE)
        assert await client.is_closed()
        await _answers(port)


@on_sockets
async def test_a_chunked_body_is_read() -> None:
    async with _reviews() as port:
        client = await port.connect()
        body = post(review(SUBJECT)).split(b"\r\n\r\n", 1)[1]
        client.send(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert await client.status() == b"200"


TOO_SLOW = {
    "half of a head": (head()[:20], "head"),
    "one byte": (b"P", "head"),
    "an empty line": (b"\r\n", "head"),
    "a head without its body": (head("/mutate", "Content-Length: 1000"), "body"),
    "half of a body": (post(b"x" * 500, announced=1000), "body"),
    "half of a large body": (post(b"x" * 500_000, announced=5 * MEGABYTE), "body"),
    "a chunk of a body": (CHUNKED + b"1\r\nx\r\n", "body"),
}


@pytest.mark.parametrize(("data", "cause"), TOO_SLOW.values(), ids=TOO_SLOW.keys())
@on_sockets
async def test_a_request_that_is_not_finished_is_closed(data: bytes, cause: str) -> None:
    before = _closed(cause)
    async with _reviews() as port:
        clients = [await port.connect() for _ in range(5)]
        for client in clients:
            client.send(data)
        await _answers(port)
        assert all(await asyncio.gather(*(client.is_closed(1) for client in clients)))
        await _answers(port)
    assert _closed(cause) == before + 5


@pytest.mark.parametrize("beginning", [b"", head("/mutate", "Content-Length: 1000")], ids=["head", "body"])
@on_sockets
async def test_a_byte_now_and_then_wins_no_time(beginning: bytes) -> None:
    async with _reviews() as port:
        client = await port.connect()
        client.send(beginning)

        async def drip() -> None:
            while True:
                client.send(b"P")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await client.is_closed(1)
        dripping.cancel()


@on_sockets
async def test_a_handshake_that_is_not_finished_is_closed() -> None:
    before = _closed("handshake")
    async with _reviews() as port:
        clients = [await port.connect(tls=False) for _ in range(5)]
        clients[0].send(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello's first bytes
        await _answers(port)
        assert all(await asyncio.gather(*(client.is_closed(1) for client in clients)))
    assert _closed("handshake") == before + 5


@on_sockets
async def test_a_connection_on_which_nothing_was_sent_stays_as_the_api_server_dials_ahead() -> None:
    async with _reviews() as port:
        client = await port.connect()
        assert not await client.is_closed(0.5)
        await _answers(port, client)
        assert not await client.is_closed(0.5)
        await _answers(port, client)


@on_sockets
async def test_an_answer_that_is_not_read_is_dropped() -> None:
    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 4 * MEGABYTE})

    before = _closed("unread")
    async with listening(large) as port:
        client = await port.connect()
        client.send(GET_HEALTH)
        await asyncio.sleep(0.6)
        received = await client.reader.read(5 * MEGABYTE)
        while piece := await _read(client):
            received += piece
        assert len(received) < 4 * MEGABYTE
    assert _closed("unread") == before + 1


async def _read(client: Client) -> bytes:
    try:
        return await client.reader.read(MEGABYTE)
    except ConnectionError:
        return b""


def _closed(cause: str) -> float:
    return sample("mxp_identity_connections_closed_total", {"cause": cause}) or 0
