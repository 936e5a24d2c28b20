"""Where the program listens: both families of addresses, where the kernel has both."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.listening import GET_HEALTH, SHORT, on_sockets
from webhook.config.contract import ServerSection
from webhook.model.errors import ConfigurationError
from webhook.server.health import plain_application
from webhook.server.listeners import Listener
from webhook.server.program import Lifecycle
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = ServerSection().host
NO_IPV6 = not socket.has_dualstack_ipv6()


def _listener(host: str, port: int = 0) -> Listener:
    return Listener(plain_application(Lifecycle(), Progress()), (host, port), "server.port", SHORT)


async def _answers(host: str, clients: Sequence[str]) -> list[bool]:
    """Whether a port on an address answers a client that calls it by each of `clients`."""
    listener = _listener(host)
    serving = asyncio.create_task(listener.listen())
    answered = []
    for address in clients:
        try:
            reader, writer = await asyncio.open_connection(address, listener.port)
        except OSError:
            answered.append(False)
            continue
        writer.write(GET_HEALTH)
        answered.append(b" 200 " in await reader.readline())
        writer.close()
    listener.stop()
    await serving
    return answered


@pytest.mark.skipif(NO_IPV6, reason="this kernel has no IPv6")
@pytest.mark.parametrize(
    ("host", "expected"),
    [(DEFAULT, [True, True]), ("0.0.0.0", [True, False]), ("::1", [False, True])],
    ids=["default", "IPv4", "one-address"],
)
@on_sockets
async def test_clients_of_both_families_are_answered_by_default(host: str, expected: list[bool]) -> None:
    assert await _answers(host, ["127.0.0.1", "::1"]) == expected


@on_sockets
async def test_a_kernel_without_ipv6_is_listened_on_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.socket

    def without_ipv6(family: int = -1, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return create(family, *rest)

    monkeypatch.setattr("webhook.server.listeners.socket.socket", without_ipv6)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    listener = _listener(DEFAULT)
    monkeypatch.undo()
    serving = asyncio.create_task(listener.listen())
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(GET_HEALTH)
    assert b" 200 " in await reader.readline()
    writer.close()
    listener.stop()
    await serving


@pytest.mark.skipif(NO_IPV6, reason="this kernel has no IPv6")
@on_sockets
async def test_a_port_in_use_is_named_with_its_address() -> None:
    first = _listener("::")
    with pytest.raises(ConfigurationError, match=rf"server\.port: cannot listen on \[::\]:{first.port}: "):
        _listener("::", first.port)
    first.stop()
