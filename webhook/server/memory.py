"""Memory: what was freed goes back to the system, and objects are collected less often."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_YOUNG_OBJECTS = 10_000
"""New objects after which the garbage collector looks at them; by default 700. Hundreds of waiting reviews keep
some hundred objects each, and looking at them again and again takes a fifth of the CPU of a burst."""

_INTERVAL = 1.0
"""Seconds between two looks at the resident memory."""

_GROWTH = 16 * 1024 * 1024
"""Bytes of growth from which on freed memory is given back at each look."""

_LOOKS = 30
"""Looks after which growth that remains is what the program needs."""

_STATM = Path("/proc/self/statm")


def tune_collector() -> None:
    """Have the garbage collector run less often. It affects the whole process."""
    gc.set_threshold(_YOUNG_OBJECTS)


async def give_back_freed_memory() -> None:
    """Return freed memory to the system whenever resident memory has grown, for as long as the program runs.

    glibc keeps freed memory, and serves the buffer of 256 KiB that uvloop allocates for a TLS connection from it.
    Those pages are resident already: a flood of short connections would end at 256 KiB for each connection that
    may be open, instead of the 50 KiB that one uses. Returns at once where there is no glibc or no /proc.
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or not (resident := _resident()):
        return
    needed, looks = resident, 0
    while True:
        await asyncio.sleep(_INTERVAL)
        resident = _resident()
        if resident - needed <= _GROWTH:
            needed, looks = min(needed, resident), 0
            continue
        trim(0)  # some milliseconds
        looks += 1
        if looks >= _LOOKS:
            needed, looks = _resident(), 0


def _resident() -> int:
    """Resident memory in bytes, 0 where it is not known: proc(5), the second field of statm counts pages."""
    if not _STATM.exists():
        return 0
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
