"""What bodies take in memory: bounded in sum; small ones have room at once, large ones take turns."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.listening import SHORT, Client, Port, head, listening, on_sockets, post
from tests.support.reviews import UID, review
from tests.support.simulated_iam import Trouble
from tests.support.sites import subject
from tests.support.worlds import World
from webhook.admission.bodies import Bodies, Room
from webhook.admission.routes import admission_router

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

SUBJECT = subject(1)
KIB, MIB = 1024, 1024 * 1024
LIMITS = replace(SHORT, connections=100, body_time=30, head_time=30)


def _of_size(size: int) -> bytes:
    """A review as an API server writes it, without spaces."""
    note = {"note": "x" * size}
    return post(json.dumps(review(SUBJECT, annotations=note), separators=(",", ":")).encode())


LARGE = _of_size(3 * MIB)
HALF = post(b"x" * MIB, announced=3 * MIB)
SMALL_HALF = post(b"x" * 1000, announced=40 * KIB)


def _port(world: World | None = None, bodies: Bodies | None = None) -> AbstractAsyncContextManager[Port]:
    world = world or World()
    world.cluster.add_namespace(SUBJECT.namespace)
    return listening(admission_router(world.service, bodies), LIMITS)


async def _status(port: Port, request: bytes) -> tuple[bytes, bytes]:
    client = await port.connect()
    client.send(request)
    return await client.status(), client.head


@on_sockets
async def test_half_sent_bodies_leave_room_for_small_ones_at_once_and_for_large_ones_after_a_moment() -> None:
    bodies = Bodies(large=Room(8 * MIB, patience=0.2, queue=100))
    async with _port(bodies=bodies) as port:
        for _ in range(20):
            (await port.connect()).send(HALF)
        async with asyncio.timeout(1):
            assert (await _status(port, post(review(SUBJECT))))[0] == b"200"
        assert (await _status(port, LARGE))[0] == b"200"


@on_sockets
async def test_a_byte_now_and_then_holds_room_for_a_while_only() -> None:
    bodies = Bodies(large=Room(4 * MIB, patience=0.2, longest_read=0.5))
    async with _port(bodies=bodies) as port:
        drip = await port.connect()
        drip.send(HALF)

        async def dripping() -> None:
            while True:
                drip.send(b"x")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(dripping())
        await asyncio.sleep(0.1)
        assert (await _status(port, LARGE))[0] == b"200"
        task.cancel()
        assert await drip.status() == b"503"


@on_sockets
async def test_a_large_body_without_room_is_to_be_sent_again() -> None:
    bodies = Bodies(large=Room(8 * MIB, patience=30, longest_wait=0.2))
    async with _port(bodies=bodies) as port:
        for _ in range(2):
            (await port.connect()).send(HALF)
        await asyncio.sleep(0.1)
        status, head = await _status(port, LARGE)
        assert status == b"503"
        assert b"\r\nretry-after: 1\r\n" in head


@on_sockets
async def test_large_bodies_beyond_the_queue_are_to_be_sent_again_at_once() -> None:
    bodies = Bodies(large=Room(4 * MIB, patience=30, longest_wait=30, queue=2))
    async with _port(bodies=bodies) as port:
        for _ in range(3):
            (await port.connect()).send(HALF)
        await asyncio.sleep(0.1)
        assert [(await _status(port, LARGE))[0] for _ in range(2)] == [b"503", b"503"]


@on_sockets
async def test_large_reviews_at_once_take_turns_and_all_are_answered() -> None:
    bodies = Bodies(large=Room(4 * MIB, patience=30))
    async with _port(bodies=bodies) as port:
        answers = await asyncio.gather(*(_status(port, LARGE) for _ in range(12)))
    assert [status for status, _ in answers] == [b"200"] * 12


TOO_LARGE = _of_size(8 * MIB)
_, _, BODY = TOO_LARGE.partition(b"\r\n\r\n")
CHUNKED = head("/mutate?timeout=10s", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("request_", [TOO_LARGE, CHUNKED], ids=["announced", "in chunks"])
@on_sockets
async def test_what_is_too_large_to_be_read_is_denied_where_deny_is_set(request_: bytes) -> None:
    async with _port(World(refuses=True)) as port:
        assert await _denial(await port.connect(), request_) == 413


@on_sockets
async def test_what_gave_way_half_read_is_denied_where_deny_is_set() -> None:
    bodies = Bodies(large=Room(4 * MIB, patience=0.2))
    async with _port(World(refuses=True), bodies) as port:
        slow = await port.connect()
        slow.send(LARGE[: 2 * MIB])
        await asyncio.sleep(0.1)
        assert (await _status(port, LARGE))[0] == b"200"
        assert await _denial(slow, LARGE[2 * MIB :]) == 503


async def _denial(client: Client, request: bytes) -> int:
    """The code with which a review is denied."""
    client.send(request)
    assert await client.status() == b"200"
    answer = json.loads(client.body)["response"]
    assert (answer["uid"], answer["allowed"]) == (UID, False)
    code: int = answer["status"]["code"]
    return code


@on_sockets
async def test_of_half_sent_small_bodies_the_oldest_gives_way() -> None:
    bodies = Bodies(small=Room(100 * KIB, patience=0, queue=100))
    async with _port(bodies=bodies) as port:
        flood = [await port.connect() for _ in range(10)]
        for client in flood:
            client.send(SMALL_HALF)
        assert [await client.status() for client in flood[:8]] == [b"503"] * 8
        async with asyncio.timeout(1):
            assert (await _status(port, post(review(SUBJECT, annotations={"note": "x" * 30_000}))))[0] == b"200"


@on_sockets
async def test_a_client_that_leaves_gives_its_room_back() -> None:
    bodies = Bodies(large=Room(4 * MIB, patience=30, longest_wait=2))
    async with _port(bodies=bodies) as port:
        client = await port.connect()
        client.send(HALF)
        await asyncio.sleep(0.1)
        client.close()
        assert (await _status(port, LARGE))[0] == b"200"


@on_sockets
async def test_reviews_that_wait_for_aws_hold_nothing_of_their_bodies() -> None:
    world = World()
    world.iam.have(Trouble.HANGS)
    annotations = {f"note-{number}": "x" * 100 for number in range(26 * KIB)}
    update = review(SUBJECT, operation="UPDATE", annotations=annotations)
    update["request"]["oldObject"] = update["request"]["object"]
    request = post(json.dumps(update).encode(), path="/mutate?timeout=4s")
    assert len(request) > 5 * MIB
    async with _port(world) as port:
        tracemalloc.start()
        try:
            clients = [await port.connect() for _ in range(12)]
            for client in clients:
                client.send(request)
            await asyncio.gather(*(client.writer.drain() for client in clients))
            await asyncio.sleep(1)
            gc.collect()
            held, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert [await client.status() for client in clients] == [b"200"] * 12
    assert held < 3 * MIB
    assert most < 120 * MIB  # of which the clients' own buffers are 65


@on_sockets
async def test_idle_connections_hold_nothing_of_bodies_that_were_refused() -> None:
    refused = post(b"x" * 60 * KIB).replace(b"application/json", b"text/plain")
    async with _port() as port:
        clients = [await port.connect() for _ in range(30)]
        tracemalloc.start()
        try:
            held: list[int] = []
            for _ in range(2):
                for client in clients:
                    client.send(refused if held else refused[:200].replace(b"61440", b"00000").split(b"xx")[0])
                    assert await client.status() == b"415"
                await asyncio.sleep(0.1)
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert held[1] - held[0] < 30 * 4 * KIB
