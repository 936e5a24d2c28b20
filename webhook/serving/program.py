"""The running program: started, drained and stopped in order."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.serving.lifecycle import Lifecycle
    from webhook.serving.listeners import Listener
    from webhook.trust.grants import Grants

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """All parts, put together but not started."""

    lifecycle: Lifecycle
    reviews: Listener
    plain: Listener
    grants: Grants
    background: tuple[Coroutine[Any, Any, None], ...]
    drain_time: float
    """Seconds for which reviews are still served after a signal: by then the API server has gone elsewhere."""
    close: Callable[[], None]

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, drain, and finish the writes under way.

        A second signal cuts the draining short.
        """
        signals = _signals()
        async with asyncio.TaskGroup() as tasks:
            mirrors = [tasks.create_task(coroutine) for coroutine in self.background]
            servers = [tasks.create_task(self.plain.listen()), tasks.create_task(self.reviews.listen())]
            log.info("serving", port=self.reviews.port, metrics_port=self.plain.port)
            await signals.get()
            await self._drain(signals)
            self.reviews.stop()
            await servers[1]
            await self.grants.close()
            self.plain.stop()
            for mirror in mirrors:
                mirror.cancel()
        self.close()
        log.info("stopped")

    async def _drain(self, signals: asyncio.Queue[signal.Signals]) -> None:
        self.lifecycle.drain()
        log.info("draining", seconds=self.drain_time)
        try:
            async with asyncio.timeout(self.drain_time):
                await signals.get()
        except TimeoutError:
            return


def _signals() -> asyncio.Queue[signal.Signals]:
    received: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received.put_nowait, number)
    return received
