"""After the configuration was accepted only a signal ends the program, and a signal ends it in order."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.worlds import World
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ConfigurationError
from webhook.runtime.supervision import supervise
from webhook.server.connections import PLAIN_LIMITS
from webhook.server.health import plain_application
from webhook.server.listeners import Listener
from webhook.server.program import Lifecycle, Program
from webhook.server.startup import Check
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE = 0.2
SECONDS = 1.5
"""For which each program runs: some pauses of a loop that raises."""


class _Server:
    """A server that raises the first times that it listens."""

    def __init__(self, raises: int = 0) -> None:
        self.port = 1
        self.listens = False
        self._raises = raises
        self._stopped = asyncio.Event()

    async def listen(self) -> None:
        if self._raises:
            self._raises -= 1
            raise OSError("a bug of the server")
        self.listens = True
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class _Run:
    """A program that was run until a SIGTERM after `SECONDS`."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *checks: Check,
        raises: int = 0,
        background: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        monkeypatch.setattr("webhook.server.startup.PATIENCE", PATIENCE)
        self.ticks = self.closed = 0
        self.given_back = False
        self.background = background
        asyncio.run(self._run(checks, raises))

    async def _run(self, checks: tuple[Check, ...], raises: int) -> None:
        self.reviews, plain, began = _Server(raises), _Server(), asyncio.get_running_loop().time()
        loops: dict[str, Callable[[], Awaitable[None]]] = {"ticks": self._tick, "lease": self._hold_lease}
        if self.background is not None:
            loops["broken"] = self.background
        program = Program(
            lifecycle=Lifecycle(),
            reviews=self.reviews,
            plain=plain,
            finish_writes=World().grants.close,
            checks=checks,
            background=loops,
            progress=Progress(),
            drain_time=0.1,
            close=self._close,
        )
        asyncio.get_running_loop().call_later(SECONDS, signal.raise_signal, signal.SIGTERM)
        await program.run()
        self.seconds = asyncio.get_running_loop().time() - began

    async def _tick(self) -> None:
        while True:
            self.ticks += 1
            await asyncio.sleep(0.1)

    async def _hold_lease(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            self.given_back = True

    def _close(self) -> None:
        self.closed += 1


async def _raise() -> None:
    raise KeyError("a bug")


def test_a_loop_that_raises_ends_neither_the_program_nor_another_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, background=_raise)
    assert run.ticks > 10
    assert run.given_back
    assert run.closed == 1
    assert SECONDS < run.seconds < SECONDS + 2


def test_a_server_that_raises_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, raises=2)
    assert run.reviews.listens


def test_a_task_that_nothing_waits_for_is_counted_when_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget_one() -> None:
        asyncio.get_running_loop().create_task(_raise()).add_done_callback(lambda _: None)
        await asyncio.Event().wait()

    before = metrics.unexpected_errors.labels("task")._value.get()  # noqa: SLF001
    run = _Run(monkeypatch, background=forget_one)
    assert run.closed == 1
    assert metrics.unexpected_errors.labels("task")._value.get() == before + 1  # noqa: SLF001


def test_what_contradicts_the_configuration_at_once_refuses_it_before_anything_else_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def contradict() -> bool:
        raise ConfigurationError("cluster.issuer: is another's")

    async def serve() -> None:
        pytest.fail("it was not refused")

    with pytest.raises(ConfigurationError, match=r"cluster\.issuer: is another's"):
        _Run(monkeypatch, Check("issuer", contradict), background=serve)


@pytest.mark.parametrize("name", ["issuer", "role", "cluster"])
def test_what_contradicts_the_configuration_late_stops_writes_shows_it_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    began: list[float] = []

    async def contradict_late() -> bool:
        began.append(asyncio.get_running_loop().time())
        if began[-1] - began[0] < 2 * PATIENCE:
            raise AwsError(FailureKind.UNAVAILABLE, "no answer")
        raise ConfigurationError("is another's")

    run = _Run(monkeypatch, Check(name, contradict_late))
    assert run.ticks > 5
    assert metrics.writes_stopped.labels(name)._value.get() == 1  # noqa: SLF001


def test_a_check_that_does_not_answer_delays_the_serving_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never() -> bool:
        await asyncio.Event().wait()
        return True

    run = _Run(monkeypatch, Check("role", never))
    assert run.reviews.listens
    assert run.given_back


def test_a_port_whose_server_raises_goes_on_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> int:
        listener = Listener(
            plain_application(Lifecycle(), Progress()), ("127.0.0.1", 0), "server.metricsPort", PLAIN_LIMITS
        )
        answering, times = listener.main_loop, iter([_raise, _raise])
        monkeypatch.setattr(listener, "main_loop", lambda: next(times, answering)())  # noqa: PLW0108  each time anew
        task, url = asyncio.create_task(supervise("port", listener.listen)), f"http://127.0.0.1:{listener.port}"
        await asyncio.sleep(SECONDS)
        async with httpx.AsyncClient(trust_env=False) as client:
            status = (await client.get(f"{url}/healthz")).status_code
        listener.stop()
        await task
        return status

    assert asyncio.run(work()) == 200
