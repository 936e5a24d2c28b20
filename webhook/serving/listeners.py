"""The two uvicorn servers in one event loop. Signals are the program's business, not theirs."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn

from webhook.config.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from starlette.types import ASGIApp

KEEP_ALIVE = 120
"""Seconds that an idle connection stays open: longer than the API server's 90 s, or reviews fail at random."""

_BACKLOG = 2048

_LAST_ANSWERS = 5
"""Seconds that requests under way have at the very end."""


class Listener(uvicorn.Server):
    """One server on one port. Raises ConfigurationError where the port cannot be had.

    `key` is the setting to name then. `tls` is used as it is, and its certificate may change meanwhile. Port 0
    takes a free one; `port` says which.
    """

    def __init__(
        self,
        application: ASGIApp,
        address: tuple[str, int],
        key: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                ssl_context_factory=None if tls is None else lambda _, __: tls,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=_LAST_ANSWERS,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
            )
        )
        host, port = address
        try:
            self._socket = _listening_socket(host, port)
        except OSError as error:
            raise ConfigurationError(f"{key}: cannot listen on {host}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    async def listen(self) -> None:
        """Serve until stopped; then answer what is under way. May be called again where it has raised."""
        self.started = False
        try:
            await self.serve(sockets=[self._socket.dup()])  # the port stays open where this raises
        finally:
            if self.started:
                for server in self.servers:
                    server.close()

    def stop(self) -> None:
        """Close the port, answer what is under way, and have `listen` return."""
        self._socket.close()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _listening_socket(host: str, port: int) -> socket.socket:
    """A listening socket on whose connections no answer waits for an acknowledgement (Nagle's algorithm)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
