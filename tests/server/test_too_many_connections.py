"""More connections than a port may have: none is refused, old ones give way, honest ones are the last."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.listening import GET_HEALTH, SHORT, Client, Port, head, listening, on_sockets, post
from tests.support.reviews import review
from tests.support.simulated_iam import Trouble
from tests.support.sites import subject
from tests.support.worlds import World
from webhook.admission.routes import admission_router
from webhook.server.health import plain_application
from webhook.server.program import Lifecycle
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

SUBJECT = subject(1)
LIMITS = replace(SHORT, connections=8, handshake_time=30, head_time=30, body_time=30)
FLOOD = 3 * LIMITS.connections


def _reviews(world: World | None = None) -> AbstractAsyncContextManager[Port]:
    world = world or World()
    world.cluster.add_namespace(SUBJECT.namespace)
    return listening(admission_router(world.service), LIMITS, tls=True)


async def _reviewed(client: Client) -> None:
    async with asyncio.timeout(2):
        client.send(post(review(SUBJECT)))
        assert await client.status() == b"200"


async def _open(clients: list[Client]) -> int:
    closed = await asyncio.gather(*(client.is_closed(0.2) for client in clients))
    return closed.count(False)


UNFINISHED = {
    "nothing": b"",
    "half of a head": head()[:20],
    "half of a body": post(b"x" * 500, announced=1000),
    "half of a large body": post(b"x" * 100_000, announced=1_000_000),
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED.keys())
@on_sockets
async def test_connections_without_a_request_give_way_before_idle_ones(sent: bytes) -> None:
    async with _reviews() as port:
        honest = await port.connect()
        await _reviewed(honest)
        flood = []
        for _ in range(FLOOD):
            flood.append(await port.connect())
            flood[-1].send(sent)
        await _reviewed(await port.connect())
        assert await _open(flood) < LIMITS.connections
        await _reviewed(honest)


@on_sockets
async def test_connections_in_a_handshake_give_way_too() -> None:
    async with _reviews() as port:
        honest = await port.connect()
        await _reviewed(honest)
        flood = [await port.connect(tls=False) for _ in range(FLOOD)]
        await _reviewed(await port.connect())
        assert await _open(flood) < LIMITS.connections
        await _reviewed(honest)


@on_sockets
async def test_a_flood_from_one_address_leaves_a_slow_request_from_another_alone() -> None:
    async with _reviews() as port:
        request = post(review(SUBJECT))
        honest = await port.connect(source="127.0.0.2")
        honest.send(request[:50])
        for _ in range(FLOOD):
            (await port.connect(tls=False)).send(b"\x16\x03\x01")
        honest.send(request[50:])
        async with asyncio.timeout(2):
            assert await honest.status() == b"200"


@on_sockets
async def test_idle_connections_from_one_address_give_way_to_each_other() -> None:
    async with _reviews() as port:
        honest = [await port.connect() for _ in range(2)]
        for client in honest:
            await _reviewed(client)
        flood = []
        for _ in range(FLOOD):
            flood.append(await port.connect(source="127.0.0.2"))
            await _reviewed(flood[-1])
        assert await _open(flood) <= LIMITS.connections - len(honest)
        for client in honest:
            await _reviewed(client)


@on_sockets
async def test_while_all_are_answered_a_new_one_waits_for_its_turn() -> None:
    world = World()
    world.iam.have(Trouble.HANGS)
    async with _reviews(world) as port:
        clients = [await port.connect() for _ in range(LIMITS.connections)]
        for client in clients:
            client.send(post(review(SUBJECT), path="/mutate?timeout=1s"))
        await asyncio.sleep(0.1)
        late = asyncio.create_task(port.connect())
        assert [await client.status() for client in clients] == [b"200"] * len(clients)
        late_client = await late
        late_client.send(post(review(SUBJECT), path="/mutate?timeout=1s"))
        assert await late_client.status() == b"200"


@on_sockets
async def test_health_is_answered_on_new_connections_whatever_holds_the_port() -> None:
    async with listening(plain_application(Lifecycle(), Progress()), LIMITS) as port:
        for sent in (b"", head()[:20], GET_HEALTH):
            for _ in range(FLOOD):
                client = await port.connect()
                client.send(sent)
                if sent == GET_HEALTH:
                    await client.status()
            async with asyncio.timeout(1):
                probe = await port.connect()
                probe.send(GET_HEALTH)
                assert await probe.status() == b"200"
