"""A port in front of a real endpoint, over plain HTTP or TLS, and the thread that serves all such ports."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import uvloop

from rig.faults.messages import Answer, Incoming, Request, read_request
from rig.faults.misbehaviours import Refused, UntrustedCertificate
from rig.pki import Authority

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
BACKLOG = 512
LOOPBACK = "127.0.0.1"

Matching = Callable[[Request], bool]
Change = Callable[[Answer], Answer]


def every_request(_: Request) -> bool:
    """Match all."""
    return True


class Fronts:
    """Opens ports in front of endpoints and serves them in a thread; a context manager.

    `ca_file`, in `folder`, verifies those that speak TLS.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        trusted, other = Authority("rig-faults"), Authority("rig-somebody-else")
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_text(trusted.certificate)
        self._trusted = _context(*trusted.issue("front").write(folder, "trusted"))
        self._untrusted = _context(*other.issue("front").write(folder, "untrusted"))
        self._fronts: list[Front] = []
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fronts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for front in self._fronts:
            front.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(
        self,
        upstream: str,
        ca_file: Path | None = None,
        *,
        tls: bool = True,
        changed: tuple[Matching, Change] | None = None,
    ) -> "Front":
        """Open a port in front of the endpoint at a URL, whose certificate `ca_file` verifies.

        Answers to requests that match are `changed` on their way while all is well.
        """
        contexts = (self._trusted, self._untrusted) if tls else None
        front = Front(self._call, upstream, ca_file, contexts, changed)
        self._fronts.append(front)
        return front

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)


class Front:
    """One port. Traffic passes until `misbehave`, and again from `behave` on; all methods are thread-safe.

    `url` is what clients are to call. Made by `Fronts.open`.
    """

    def __init__(
        self,
        call: Callable[[Coroutine[Any, Any, None]], None],
        upstream: str,
        ca_file: Path | None,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None,
        changed: tuple[Matching, Change] | None,
    ) -> None:
        self._call = call
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._upstream_tls = ssl.create_default_context(cafile=str(ca_file)) if parts.scheme == "https" else None
        self._contexts = contexts
        self._changed = changed
        self._place = _reserved()
        self.port: int = self._place.getsockname()[1]
        self.url = f"{'https' if contexts else 'http'}://{LOOPBACK}:{self.port}{parts.path}"
        self.met = 0
        """How many requests and connections have met the misbehaviour that is on, or was on last."""
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], Request | None] = {}
        self._misbehaviour: Any = None
        self._matching: Matching = every_request
        call(self._listen())

    def misbehave(self, misbehaviour: Any, matching: Matching = every_request) -> None:
        """Have requests that match meet a misbehaviour. Answers to such, where they are under way, are cut off.

        A misbehaviour of the whole port (`Refused`, `UntrustedCertificate`) is every request's, and cuts all.
        """
        self._call(self._switch_on(misbehaviour, matching))

    def behave(self) -> None:
        """Let traffic pass again. What the misbehaviour held is cut off, as when an endpoint is restarted."""
        self._call(self._switch_off())

    def close(self) -> None:
        """Close the port and cut every connection."""
        self._call(self._close())

    # ---- in the loop

    async def _switch_on(self, misbehaviour: Any, matching: Matching) -> None:
        await self._switch_off()
        self._misbehaviour, self._matching, self.met = misbehaviour, matching, 0
        if isinstance(misbehaviour, Refused | UntrustedCertificate):
            await self._cut(every_request)
            await self._unlisten()
            if isinstance(misbehaviour, UntrustedCertificate):
                await self._listen(trusted=False)
        else:
            await self._cut(matching)

    async def _switch_off(self) -> None:
        ended, self._misbehaviour = self._misbehaviour, None
        if isinstance(ended, Refused | UntrustedCertificate):
            await self._unlisten()
            await self._listen()
        elif ended is not None:
            await self._cut(self._matching)

    async def _listen(self, *, trusted: bool = True) -> None:
        listener = _bound(self.port)
        context = self._contexts[0 if trusted else 1] if self._contexts else None
        self._server = await asyncio.start_server(self._accepted, sock=listener, ssl=context, backlog=BACKLOG)

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._unlisten()
        await self._cut(lambda _: True, idle=True)
        self._place.close()

    async def _cut(self, matching: Matching, *, idle: bool = False) -> None:
        """Cut connections with a request under way that matches; all of them for a misbehaviour of the port."""
        whole = idle or matching is every_request
        cut = [
            task for task, asked in self._open.items() if (asked is None and whole) or (asked and matching(asked))
        ]
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = None
        upstream = _Upstream(self._upstream, self._upstream_tls)
        try:
            while request := await read_request(reader):
                self._open[task] = request
                if not await self._serve(request, upstream, writer):
                    break
                self._open[task] = None
            writer.close()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            del self._open[task]
            upstream.close()

    async def _serve(self, request: Request, upstream: "_Upstream", writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may carry another."""
        misbehaviour = self._misbehaviour
        if isinstance(misbehaviour, Refused | UntrustedCertificate):
            raise ConnectionAbortedError("the port is about to be closed")
        if misbehaviour is not None and self._matching(request):
            self.met += 1
            await misbehaviour(Exchange(request, upstream, writer))
            return False
        if self._changed and self._changed[0](request):
            await Exchange(request, upstream, writer).say(self._changed[1](await upstream.whole(request)))
            return False
        return await upstream.relay(request, writer)


class Exchange:
    """A request and the means to misbehave with its answer."""

    def __init__(self, request: Request, upstream: "_Upstream", writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._upstream = upstream
        self._writer = writer

    async def genuine(self) -> Answer:
        """What the real endpoint answers: it has done then what it was asked to do."""
        return await self._upstream.whole(self.request)

    async def say(self, answer: Answer) -> None:
        """Send an answer."""
        await self.write(answer.head)
        await self.write(answer.body)

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()


class _Upstream:
    """A connection to the real endpoint for one client's connection, opened when it is needed."""

    def __init__(self, address: tuple[str | None, int | None], tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def relay(self, request: Request, client: asyncio.StreamWriter) -> bool:
        """Pass a request on and its answer back, as it comes; whether both connections may carry another."""
        answer = await self._send(request)
        async for piece in answer.pieces():
            client.write(piece)
            await client.drain()
        return answer.keep_alive

    async def whole(self, request: Request) -> Answer:
        """Pass a request on and return its answer."""
        return await (await self._send(request)).whole()

    async def _send(self, request: Request) -> Incoming:
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self.close()  # the endpoint closes what was idle for long; a client of its own would have seen it
            self._streams = None
        if self._streams is None:
            host, port = self._address
            self._streams = await asyncio.open_connection(host, port, ssl=self._tls)
        reader, writer = self._streams
        writer.write(request.raw)
        await writer.drain()
        return Incoming(reader)

    def close(self) -> None:
        """Close it at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _reserved() -> socket.socket:
    """A socket that keeps a port: while nothing else listens there, connections are refused."""
    return _bound(0)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    with contextlib.ExitStack() as stack:
        stack.callback(bound.close)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
        stack.pop_all()
    return bound
