"""Where a cluster's programs run: on this machine's loopback, or in namespaces of their own."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """How this process and a cluster's programs reach each other.

    `address` is where the programs are for this process, `machine` is where this process is for them; for each
    other they are on loopback. With `device`,
    connections of this process leave through that network interface or not at all, so that an address that is
    no longer there is not looked for elsewhere. `enter` comes before a command line to run it where the programs
    are. `services` is the range of ClusterIPs and its first address.
    """

    address: str = LOOPBACK
    bind: str = LOOPBACK
    machine: str = LOOPBACK
    device: str | None = None
    enter: tuple[str, ...] = ()
    services: tuple[str, str] = ("10.0.0.0/24", "10.0.0.1")

    def command(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """Return the command line that runs a program there."""
        return [*self.enter, *argv]

    def http(self, context: ssl.SSLContext, **options: Any) -> httpx.Client:
        """Return a client of what listens there; a proxy of the environment is not used."""
        limits = options.pop("limits", httpx.Limits())
        bound = [] if self.device is None else [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())]
        transport = httpx.HTTPTransport(verify=context, limits=limits, trust_env=False, socket_options=bound)
        return httpx.Client(transport=transport, **options)
