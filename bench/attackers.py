"""Clients that try to exhaust the program, in a process of their own: `python -m bench.attackers NAME PORT PORT`.

They connect to loopback only, are bounded in number, and stop after SECONDS. At the end one line is printed: for
how long the program left a request open that was begun and not finished, at most, in seconds; 0 where none was.
"""

import asyncio
import json
import logging
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop

from rig.kubernetes.objects import SERVICE_ACCOUNT

SECONDS = 12.0
LARGE = 2_600_000
MIB = 1024 * 1024
AT_ONCE = 64
"""Connections that are opened at the same time."""

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Target:
    """The two ports of the program, and what was seen of it."""

    reviews: int
    plain: int
    waiting: str
    """A namespace whose ServiceAccount AWS is asked about in vain."""
    ends: float = field(default_factory=lambda: time.monotonic() + SECONDS)
    longest: float = 0.0
    _opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _context: ssl.SSLContext = field(default_factory=ssl._create_unverified_context)  # noqa: SLF001

    async def connect(self, *, plain: bool = False, tls: bool = True) -> Pair:
        """Open a connection."""
        async with self._opening:
            context = self._context if tls and not plain else None
            return await asyncio.open_connection("127.0.0.1", self.plain if plain else self.reviews, ssl=context)

    async def hold(self, data: bytes, **how: Any) -> None:
        """Send the beginning of a request, and wait until the program closes the connection."""
        reader, writer = await self.connect(**how)
        began = time.monotonic()
        writer.write(data)
        try:
            async with asyncio.timeout_at(self._loop_end()):
                await writer.drain()
                while await reader.read(65536):
                    pass
        finally:
            if data:
                self.longest = max(self.longest, time.monotonic() - began)
            writer.transport.abort()

    async def flood(self, beginning: bytes, piece: bytes, total: int, **how: Any) -> None:
        """Send pieces until the program closes the connection."""
        reader, writer = await self.connect(**how)
        writer.write(beginning)
        for _ in range(total // len(piece)):
            if reader.at_eof() or writer.is_closing() or self.over:
                break
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()

    async def ask(self, request: bytes, *, again: bool = True, **how: Any) -> None:
        """Send a request and read its answer, again and again on one connection."""
        reader, writer = await self.connect(**how)
        while not self.over:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(lengths[0].split(b":")[1]))
            if not again:
                await asyncio.sleep(self.ends - time.monotonic())
        writer.transport.abort()

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() >= self.ends

    def _loop_end(self) -> float:
        return asyncio.get_running_loop().time() + self.ends - time.monotonic()


async def many(count: int, attack: Callable[[], Awaitable[None]]) -> None:
    """So many at once; each begins again when its connection is closed early."""

    async def one() -> None:
        with suppress(OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
            await attack()

    await asyncio.gather(*(one() for _ in range(count)))


def post(body: bytes, announced: int | None = None) -> bytes:
    """A review's request."""
    length = len(body) if announced is None else announced
    headers = f"Host: webhook\r\nContent-Type: application/json\r\nContent-Length: {length}"
    return f"POST /mutate?timeout=10s HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body


def review(namespace: str, note: str = "") -> bytes:
    """A review of the ServiceAccount of a control plane."""
    metadata = {"name": SERVICE_ACCOUNT, "namespace": namespace, "annotations": {"note": note}}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "ServiceAccount"},
        "operation": "CREATE",
        "namespace": namespace,
        "name": SERVICE_ACCOUNT,
        "object": {"metadata": metadata},
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()


SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: webhook\r\n\r\n"
HEAD = post(b"", 1000)
LINE = b"POST /mutate HTTP/1.1\r\nHost: webhook\r\n"


async def _drip(target: Target) -> None:
    reader, writer = await target.connect()
    began = time.monotonic()
    writer.write(HEAD)
    try:
        while not (target.over or reader.at_eof() or writer.is_closing()):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.5)
    finally:
        target.longest = max(target.longest, time.monotonic() - began)


async def _unread(target: Target) -> None:
    _, writer = await target.connect(plain=True)
    while not (target.over or writer.is_closing()):
        writer.write(SCRAPE)
        await writer.drain()
        await asyncio.sleep(0.02)


async def _forged(target: Target) -> None:
    number = id(asyncio.current_task())
    await target.ask(post(review(f"mxp-{number}-system")))


ATTACKS: dict[str, tuple[str, int, Callable[[Target], Awaitable[None]]]] = {
    "bodies": (
        "bodies of 6.9 MiB that stop before their end",
        40,
        lambda t: t.hold(post(b"x" * 7_200_000, 7_235_174)),
    ),
    "headers": (
        "connections with headers without end",
        40,
        lambda t: t.flood(LINE, b"X-Header: value\r\n" * 500, 100 * MIB),
    ),
    "url": ("connections with a URL without end", 40, lambda t: t.flood(b"GET /", b"x" * 10_000, 100 * MIB)),
    "header": (
        "connections with one header of 100 MB",
        40,
        lambda t: t.flood(LINE + b"X: ", b"x" * 10_000, 100 * MIB),
    ),
    "plain-header": (
        "the same on the port of health and metrics",
        40,
        lambda t: t.flood(LINE + b"X: ", b"x" * 10_000, 100 * MIB, plain=True),
    ),
    "handshakes": ("TLS handshakes that stop", 2000, lambda t: t.hold(b"\x16\x03\x01", tls=False)),
    "heads": ("requests that stop in the head", 2000, lambda t: t.hold(LINE)),
    "drip": ("bodies of which a byte comes now and then", 500, _drip),
    "idle": ("idle connections that have asked once", 3000, lambda t: t.ask(post(b"{}"), again=False)),
    "large-12": (
        "reviews with 2.6 MiB of annotations that wait for AWS",
        12,
        lambda t: t.ask(post(review(t.waiting, "x" * LARGE))),
    ),
    "large-100": ("such reviews", 100, lambda t: t.ask(post(review(t.waiting, "x" * LARGE)))),
    "nesting": (
        "connections with bodies that are brackets, 1 million deep",
        20,
        lambda t: t.ask(post(b"[" * 1_000_000)),
    ),
    "forged": ("clients that forge reviews of namespaces that do not exist", 100, _forged),
    "scrapes": ("clients that ask for /metrics without a pause", 100, lambda t: t.ask(SCRAPE, plain=True)),
    "unread": ("clients that ask for /metrics and never read", 200, _unread),
}
"""What is shown, how many at once, and what each does."""


async def _run(name: str, target: Target) -> None:
    _, count, attack = ATTACKS[name]
    while not target.over:
        await many(count, lambda: attack(target))
        await asyncio.sleep(0.1)


def main() -> None:
    """Attack the program on the ports that the command line gives."""
    name, reviews, plain, waiting = sys.argv[1:]
    target = Target(int(reviews), int(plain), waiting)
    logging.disable()  # of connections that the program has closed
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(name, target))
    print(target.longest)


if __name__ == "__main__":
    main()
