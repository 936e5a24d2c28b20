"""One HTTP connection within the limits of its port: uvicorn's, which has none of them."""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.telemetry.refusals import note_closing, note_refusal

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

    from webhook.server.connections import Connections, Limits


class _State(enum.Enum):
    """What a connection is used for."""

    IDLE = enum.auto()
    READING = enum.auto()
    ANSWERING = enum.auto()


class _RefusedError(Exception):
    """The parser is to stop: what comes is more than the limits allow."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose client sends too much or too slowly, or does not read its answer.

    Where no answer was begun, the client gets 400, 413, 414 or 431. A request before the answer to the one before
    (pipelining) is refused.
    """

    def __init__(
        self, config: Config, state: ServerState, limits: Limits, connections: Connections, peer: str
    ) -> None:
        super().__init__(config, state, app_state={})
        self.peer = peer
        """The client's address."""
        self.opening: asyncio.Task[None] | None = None
        """The task that does the TLS handshake."""
        self.is_open = False
        self._limits = limits
        self._connections = connections
        self._state = _State.IDLE
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refusal = (HTTPStatus.BAD_REQUEST, "the request is not HTTP/1.1")
        self._body = 0
        self._overhead = 0
        """Bytes of the request so far that were not its body."""
        self._body_in_data = 0

    def evict(self) -> None:
        """Close it at once, because a newer one needs its place."""
        self._abort("evicted")

    def abandon(self) -> None:
        """Break its reference cycles where it was never opened: so it is freed now, not by the collector later."""
        self._connections.forget(self)
        self.opening = None
        self.parser = None  # type: ignore[assignment]  # as uvicorn does

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """asyncio: it is open, its handshake done."""
        super().connection_made(transport)
        self.is_open = True
        transport.set_write_buffer_limits(high=1, low=0)  # so that writing is paused until the client has read all
        self._keep()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is closed."""
        self._connections.forget(self)
        self._stop_clock()
        self.resume_writing()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn forgets it where there was an error

    def data_received(self, data: bytes) -> None:
        """asyncio: the client has sent something."""
        if self._state is _State.IDLE:
            self._begin()
        self._body_in_data = 0
        super().data_received(data)
        self._overhead += len(data) - self._body_in_data
        if self._overhead > self._limits.head:
            self._refusal = (
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the request without its body is larger than {self._limits.head} bytes",
            )
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request."""
        if self._state is _State.ANSWERING:
            self._refuse(HTTPStatus.BAD_REQUEST, "a request came before the answer to the one before")
        if self._state is _State.IDLE:
            self._begin()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """httptools: a part of the URL."""
        super().on_url(url)
        if len(self.url) > self._limits.url:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, f"the URL is longer than {self._limits.url} bytes")

    def on_headers_complete(self) -> None:
        """httptools: all headers are there."""
        self._start_clock(self._limits.body_time, "body")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body_in_data += len(body)
        self._body += len(body)
        if self._body > self._limits.body:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {self._limits.body} bytes")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: the whole request is there."""
        super().on_message_complete()
        self._stop_clock()
        if self.cycle.response_complete:
            self._rest()
        else:
            self._state = _State.ANSWERING
            self._connections.answer(self)

    def on_response_complete(self) -> None:
        """uvicorn: the whole answer was given to the transport."""
        # What came of a body that was not read would stay until the next request.
        self.cycle.body = bytearray()
        super().on_response_complete()
        if self._state is _State.ANSWERING:
            self._rest()

    def pause_writing(self) -> None:
        """asyncio: the client has not read all that was written."""
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(self._limits.unread_time, self._abort, "unread")

    def resume_writing(self) -> None:
        """asyncio: it has."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer a request that was refused, whose status and reason are noted, and close. `msg` is uvicorn's."""
        if self.transport.is_closing():
            return
        status, text = self._refusal
        note_refusal(status, text)
        self._stop_clock()
        begun = False
        if self.cycle is not None and not self.cycle.response_complete:
            begun = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not begun:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            self.transport.write(f"{head}content-length: {len(text) + 1}\r\n\r\n{text}\n".encode())
        self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """uvicorn: it has been idle for long enough."""
        if self._unread is not None:
            return  # that clock runs
        super().timeout_keep_alive_handler()

    def _begin(self) -> None:
        self._state = _State.READING
        self._body = self._overhead = 0
        self._connections.begin(self)
        self._start_clock(self._limits.head_time, "head")

    def _rest(self) -> None:
        self._state = _State.IDLE
        self._connections.rest(self)
        if self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._keep()  # the rest of the body came after the answer

    def _keep(self) -> None:
        """Wait for a first request as long as for a later one: the API server dials connections ahead of need."""
        self.timeout_keep_alive_task = self.loop.call_later(
            self._limits.idle_time, self.timeout_keep_alive_handler
        )

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Have the parser stop. Raises _RefusedError, for which uvicorn calls `send_400_response`."""
        self._refusal = (status, text)
        raise _RefusedError

    def _start_clock(self, seconds: float, cause: str) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self._abort, cause)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort(self, cause: str) -> None:
        note_closing(cause)
        if self.opening is not None and not self.opening.done():
            self.opening.cancel()
        elif self.is_open:
            self.transport.abort()
