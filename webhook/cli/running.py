"""Running a command's coroutine: quiet logs, and Ctrl-C that lets what is under way end."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, TypeVar

from webhook.cli.failures import InterruptedByPersonError
from webhook.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.cli.progress import Progress

T = TypeVar("T")


def run(command: Callable[[Progress], Coroutine[Any, Any, T]]) -> T:
    """Run a command to its end; it is handed a line that tells a waiting person what is going on.

    Raises InterruptedByPersonError after Ctrl-C.
    """
    from webhook.cli.progress import Progress

    configure_logs(logging.ERROR)

    async def work() -> T:
        with Progress(sys.stderr) as progress:
            return await command(progress)

    try:
        return asyncio.run(work())
    except KeyboardInterrupt as error:
        raise InterruptedByPersonError from error
