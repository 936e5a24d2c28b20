"""What lies between a process and a server: time, and requests or answers that never arrive.

A server's side belongs to no process: a request that has left is served even if its sender stops or dies.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from tests.simulation.processes import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CLIENT_TIMEOUT = 3.0
_LATE_SECONDS = 8.0


class Fate(Enum):
    """What becomes of a request."""

    SERVED = auto()
    REQUEST_LOST = auto()
    ANSWER_LOST = auto()
    SERVED_LATE = auto()
    """When the sender has long given up."""


class SilenceError(Exception):
    """No answer came in time."""


class Wire:
    """Carries requests until the world ends; afterwards nothing arrives any more."""

    def __init__(self) -> None:
        self.cut = False

    async def ask(self, serve: Callable[[], T], latency: float, fate: Fate = Fate.SERVED) -> T:
        """The server's answer, `latency` seconds from now. Raises what `serve` raises, and SilenceError."""
        self._check()
        await asyncio.sleep(0)  # between deciding to send and sending, a process can be stopped or die
        self._check()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Callable[[], T]] = loop.create_future()

        def arrive() -> None:
            if self.cut:
                return
            reply = _reply(serve)
            if fate is Fate.SERVED:
                loop.call_later(latency / 2, answer.set_result, reply, context=WORLD)

        if fate is not Fate.REQUEST_LOST:
            late = _LATE_SECONDS if fate is Fate.SERVED_LATE else 0.0
            loop.call_later(latency / 2 + late, arrive, context=WORLD)
        if fate is Fate.SERVED:
            return (await answer)()
        await asyncio.sleep(CLIENT_TIMEOUT)
        raise SilenceError("no answer within 3 s")

    def _check(self) -> None:
        if self.cut:
            raise SilenceError("the world has ended")


def _reply(serve: Callable[[], T]) -> Callable[[], T]:
    """What the asker gets when the answer arrives: the result, or the error."""
    try:
        result = serve()
    except Exception as error:  # noqa: BLE001  whatever the server says goes to the asker
        said = error

        def fail() -> T:
            raise said

        return fail
    return lambda: result
