"""Taking connections goes on whatever happens to it, and ends nothing when the program does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.support.listening import GET_HEALTH, SHORT, Port, on_sockets
from tests.support.samples import sample
from webhook.server.connections import Connections
from webhook.server.health import plain_application
from webhook.server.listeners import Listener
from webhook.server.program import Lifecycle
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    import pytest

    from webhook.server.protocol import BoundedProtocol


def _errors() -> float:
    return sample("mxp_identity_unexpected_errors_total", {"loop": "accept"}) or 0


@on_sockets
async def test_a_port_that_is_closed_while_others_connect_ends_without_an_error() -> None:
    listener = Listener(plain_application(Lifecycle(), Progress()), ("127.0.0.1", 0), "port", SHORT)
    serving, port = asyncio.create_task(listener.listen()), Port(listener.port, tls=False)
    await port.connect()
    errors = _errors()
    listener.stop()
    with suppress(OSError):
        await port.connect()
    await serving
    assert _errors() == errors
    for one in port.clients:
        one.close()


@on_sockets
async def test_a_port_that_is_closed_before_it_accepts_ends_without_an_error() -> None:
    """As by two signals while the program starts."""
    listener = Listener(plain_application(Lifecycle(), Progress()), ("127.0.0.1", 0), "port", SHORT)
    listener.stop()
    await listener.listen()


@on_sockets
async def test_connections_are_accepted_again_after_a_bug_in_taking_one(monkeypatch: pytest.MonkeyPatch) -> None:
    admit, bugs = Connections.admit, iter([RuntimeError("a bug")])

    async def admit_after_a_bug(self: Connections, connection: BoundedProtocol) -> Any:
        for bug in bugs:
            raise bug
        await admit(self, connection)

    monkeypatch.setattr(Connections, "admit", admit_after_a_bug)
    listener = Listener(plain_application(Lifecycle(), Progress()), ("127.0.0.1", 0), "port", SHORT)
    serving, port = asyncio.create_task(listener.listen()), Port(listener.port, tls=False)
    await port.connect()
    client = await port.connect()
    client.send(GET_HEALTH)
    assert await client.status() == b"200"
    for one in port.clients:
        one.close()
    listener.stop()
    await serving
