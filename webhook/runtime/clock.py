"""The one clock of the program's waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Clock = Callable[[], float]
"""Answers seconds that never jump back; only differences mean something. May be asked in any thread."""


def loop_clock() -> Clock:
    """The clock that the running event loop's timers go by."""
    return asyncio.get_running_loop().time
