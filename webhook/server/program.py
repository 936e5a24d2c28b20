"""The running program: started, ready, drained and stopped in order."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from webhook.runtime.supervision import supervise
from webhook.server.startup import early_contradiction
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, Protocol

    from webhook.server.startup import Check
    from webhook.telemetry.progress import Progress

    class Server(Protocol):
        """One server on one port."""

        @property
        def port(self) -> int:
            """The port that it listens on."""

        async def listen(self) -> None:
            """Serve until stopped; then answer what is under way."""

        def stop(self) -> None:
            """Have `listen` return."""


log = structlog.get_logger(__name__)

_LAST_SECONDS = 6.0
"""Seconds for a server to answer what is under way, and for Leases to be given back; then they are cut off."""


class Lifecycle:
    """Ready means: every condition holds and no SIGTERM has come. AWS is never a condition.

    Each of `conditions` answers what is missing, in words, or None where nothing is.
    """

    def __init__(self, *conditions: Callable[[], str | None]) -> None:
        self._conditions = conditions
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether connections are to be closed after their next answer."""
        return self._draining

    def drain(self) -> None:
        """Be unready at once; reviews that still come are served."""
        self._draining = True

    def not_ready_because(self) -> str | None:
        """What is missing, in words, or None when ready."""
        if self._draining:
            return "shutting down"
        return next((missing for condition in self._conditions if (missing := condition())), None)


@dataclass(frozen=True, slots=True)
class Program:
    """All parts, put together but not started."""

    lifecycle: Lifecycle
    reviews: Server
    plain: Server
    finish_writes: Callable[[], Awaitable[None]] | None
    """Ends the writes under way; None where nothing is written."""
    checks: Sequence[Check]
    """What may contradict the configuration."""
    background: Mapping[str, Callable[[], Awaitable[None]]]
    """The loops by their names in logs and metrics."""
    progress: Progress
    drain_time: float
    """Seconds for which reviews are still served after a signal: by then the API server has gone elsewhere."""
    close: Callable[[], None]

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, drain, and finish the writes under way.

        A second signal cuts the draining short. Raises ConfigurationError where something contradicts the
        configuration before it is served. After that nothing but a signal ends this.
        """
        signals = _signals()
        asyncio.get_running_loop().set_exception_handler(_report_lost)
        loops = [_start(f"check_{one.name}", partial(one.run, self.progress)) for one in self.checks]
        try:
            if refusal := await early_contradiction(self.checks):
                raise refusal
            loops += [_start(name, loop) for name, loop in self.background.items()]
            plain, reviews = _start("metrics_port", self.plain.listen), _start("port", self.reviews.listen)
            log.info("serving", port=self.reviews.port, metrics_port=self.plain.port)
            await signals.get()
            await self._drain(signals)
            self.reviews.stop()
            await _end(reviews)
            await self._finish_writes()
            self.plain.stop()
            await _end(plain)
        finally:
            for loop in loops:
                loop.cancel()
            await _end(*loops)
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

    async def _finish_writes(self) -> None:
        if self.finish_writes is None:
            return
        try:
            await self.finish_writes()
        except Exception:
            log.exception("writes_not_finished")


def _start(name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(supervise(name, loop), name=name)


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Wait for tasks that are to end, and cut off what has not after `_LAST_SECONDS`."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=_LAST_SECONDS)
    for task in late:
        log.warning("cut_off", loop=task.get_name())
        task.cancel()


def _report_lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log and count an error that ended a task for which nothing waited: it would be lost else."""
    error = context.get("exception")
    if context.get("future") is None or not isinstance(error, Exception):
        loop.default_exception_handler(context)
        return
    log.error("task_failed", task=getattr(context["future"], "get_name", str)(), exc_info=error)
    metrics.unexpected_errors.labels("task").inc()


def _signals() -> asyncio.Queue[signal.Signals]:
    received: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received.put_nowait, number)
    return received
