"""Memory: what short connections and bursts leave behind."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.listening import SHORT, listening, on_sockets
from tests.support.virtual_time import in_virtual_time
from webhook.server.health import plain_application
from webhook.server.memory import give_back_freed_memory
from webhook.server.program import Lifecycle
from webhook.server.protocol import BoundedProtocol
from webhook.telemetry.progress import Progress

BLOCK, BLOCKS, EVERY = 4096, 20_000, 100
"""Bytes of a block, how many, and each how manieth stays, so that the rest cannot be given back from the end."""


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _protocols() -> int:
    return sum(isinstance(one, BoundedProtocol) for one in gc.get_objects())


@pytest.mark.skipif(sys.platform != "linux", reason="glibc gives memory back, and /proc shows it")
@in_virtual_time
async def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    ctypes.CDLL(None).malloc_trim(0)  # what tests before this one have freed, or the blocks would take its place
    giving = asyncio.create_task(give_back_freed_memory())
    await asyncio.sleep(0.1)
    blocks = [bytes(BLOCK) for _ in range(BLOCKS)]
    full = _resident()
    kept = blocks[::EVERY]
    del blocks
    await asyncio.sleep(5)
    assert full - _resident() > BLOCK * BLOCKS * 3 / 4
    assert len(kept) == BLOCKS / EVERY
    giving.cancel()


@pytest.mark.parametrize("ends", ["the client leaves", "the time is over"])
@on_sockets
async def test_a_handshake_that_fails_leaves_nothing_for_the_collector(ends: str) -> None:
    leaves = ends == "the client leaves"
    limits = replace(SHORT, handshake_time=30 if leaves else 0.2)
    async with listening(plain_application(Lifecycle(), Progress()), limits, tls=True) as port:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                client = await port.connect(tls=False)
                client.send(b"\x16\x03\x01")
                if leaves:
                    await asyncio.sleep(0)
                    client.close()
                else:
                    assert await client.is_closed()
            async with asyncio.timeout(5):
                while _protocols():  # noqa: ASYNC110 (no event tells of it)
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
