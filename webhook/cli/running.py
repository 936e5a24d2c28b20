"""Running a command's coroutine: quiet logs, and Ctrl-C or SIGTERM that lets what is under way end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from webhook.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.cli.progress import Progress

T = TypeVar("T")


def run(command: Callable[[Progress], Coroutine[Any, Any, T]]) -> T:
    """Run a command to its end; it is handed a line that tells a waiting person what is going on.

    SIGTERM is treated as Ctrl-C: a write under way ends first, and the Lease names what it changed.
    """
    from webhook.cli.progress import Progress

    configure_logs(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

    async def work() -> T:
        with Progress(sys.stderr) as progress:
            return await command(progress)

    return asyncio.run(work())


async def to_its_end(write: Coroutine[Any, Any, T]) -> T:
    """Await a write that Ctrl-C does not cut off: it ends first, and then the command does."""
    task = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
