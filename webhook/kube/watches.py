"""One kind of object as a source to mirror: a paged list, and a watch read by a thread of its own."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

from webhook.controller.ports import Change
from webhook.kube.deadlines import Deadline
from webhook.kube.errors import MIB, shown, whole_call
from webhook.kube.lists import LARGEST_OBJECT, newest_version, pages
from webhook.kube.objects import AnyObject, StatusObject, decode
from webhook.model.errors import ClusterError, ExpiredError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse

    from webhook.kube.connection import Connection

T = TypeVar("T")

_SERVER_SECONDS = (240, 300)
"""How long the API server keeps a watch open. It varies, so that watches do not all end at once."""

_OPEN_SECONDS = 30.0
"""The API server answers a watch at once, before the first change."""

_SILENCE_SECONDS = 90.0
"""Bookmarks come about once a minute; a watch that has no whole line for longer is dead."""

_CHUNK = 65536
_WAITING = 1000
"""Changes on their way from the thread to the loop, each a few names: an object is not kept."""

_GONE = 410


class _Event(msgspec.Struct, frozen=True):
    """A line of a watch, its object not read yet."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class Resource(Generic[T]):
    """A list path of the API server, read into `T` and held under a key.

    `read` answers key and value of one object's JSON.
    """

    def __init__(
        self,
        connection: Connection,
        resource: str,
        query: Mapping[str, str],
        read: Callable[[msgspec.Raw], tuple[str, T]],
    ) -> None:
        self.resource = resource
        self._connection = connection
        self._path = f"/api/v1/{resource}"
        self._query = query
        self._read = read

    async def list(self) -> tuple[dict[str, T], str]:
        """All objects by key, and the version to watch from. Raises ClusterError."""
        return await self._connection.in_thread(self._list)

    async def newest_version(self) -> str:
        """The version that the API server has now. Raises ClusterError."""
        return await self._connection.in_thread(lambda: newest_version(self._connection, self._path, self._query))

    async def watch(self, version: str) -> AsyncGenerator[Change[T], None]:
        """Changes after `version`, until the API server ends the watch. Raises ClusterError, ExpiredError."""
        lines: _Lines[T] = _Lines(asyncio.get_running_loop())
        thread = threading.Thread(
            target=self._read_watch, args=(version, lines), name=f"watch {self.resource}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise ClusterError(f"watch {self.resource}: {error}") from error
        try:
            while (change := await lines.next()) is not None:
                yield change
        finally:
            lines.stop()

    def _list(self) -> tuple[dict[str, T], str]:
        objects: dict[str, T] = {}
        version = ""
        for items, of_list in pages(self._connection, self._path, self._query):
            objects.update(self._read(item) for item in items)
            version = of_list
        return objects, version

    def _read_watch(self, version: str, lines: _Lines[T]) -> None:
        """The thread: hands on each change, and how the watch ended, whatever ended it."""
        try:
            with whole_call(f"watch {self.resource}"):
                self._follow(version, lines)
        except ClusterError as error:
            lines.end(error)
        else:
            lines.end(None)

    def _follow(self, version: str, lines: _Lines[T]) -> None:
        server_seconds = random.randint(*_SERVER_SECONDS)  # noqa: S311
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(server_seconds),
        }
        deadline = Deadline(_OPEN_SECONDS, at_most=server_seconds + _SILENCE_SECONDS)
        response = self._connection.stream(self._path, query, deadline)
        try:
            lines.opened(response)
            deadline.extend(_SILENCE_SECONDS)
            for line in _lines_of(response):
                lines.put(self._change(line))
                deadline.extend(_SILENCE_SECONDS)
        finally:
            response.close()

    def _change(self, line: bytearray) -> Change[T]:
        event = decode(line, _Event)
        if event.type == "ERROR":
            status = decode(event.object, StatusObject)
            kind = ExpiredError if status.code == _GONE else ClusterError
            raise kind(f"watch {self.resource}: {status.code} {shown(status.message)}")
        version = decode(event.object, AnyObject).metadata.resource_version
        if event.type == "BOOKMARK":
            return Change(version)
        key, value = self._read(event.object)
        return Change(version, key, None if event.type == "DELETED" else value)


def _lines_of(response: BaseHTTPResponse) -> Iterator[bytearray]:
    """The lines of a watch, which arrive in pieces that end anywhere. Raises ClusterError for an endless one."""
    rest = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=False):
        first, *others = chunk.split(b"\n")
        rest += first
        for part in others:
            if rest:
                yield rest
            rest = bytearray(part)
        if len(rest) > LARGEST_OBJECT:
            raise ClusterError(f"an object has more than {LARGEST_OBJECT / MIB:g} MiB")
    if rest:
        raise ClusterError("the answer ended within an object")


class _Lines(Generic[T]):
    """Hands changes from the watch's thread to the loop, and stops the thread for the loop.

    The thread waits while the loop has many changes to handle; then the API server has to wait as well.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Semaphore(_WAITING)
        self._queue: asyncio.Queue[Change[T] | ClusterError | None] = asyncio.Queue()
        self._lock = threading.Lock()
        self._response: BaseHTTPResponse | None = None
        self._stopped = False

    async def next(self) -> Change[T] | None:
        """The next change, or None at the end. Raises what the watch ended with."""
        item = await self._queue.get()
        self._room.release()
        if isinstance(item, ClusterError):
            try:
                raise item
            finally:
                del item  # or it would refer to itself, by its traceback
        return item

    def put(self, change: Change[T]) -> None:
        """From the thread; waits for room. Does nothing once the loop has stopped."""
        if not self._stopped:
            self._room.acquire()
        if not self._stopped:
            self._hand_over(change)

    def end(self, error: ClusterError | None) -> None:
        """From the thread, last."""
        self._hand_over(error)

    def opened(self, response: BaseHTTPResponse) -> None:
        """From the thread: what to shut down if the loop stops."""
        with self._lock:
            self._response = response
            if self._stopped:
                _shut(response)

    def stop(self) -> None:
        """From the loop: end the thread, which may be blocked reading."""
        with self._lock:
            self._stopped = True
            self._room.release()
            if self._response is not None:
                _shut(self._response)

    def _hand_over(self, item: Change[T] | ClusterError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop is closed: the program has ended
            return


def _shut(response: BaseHTTPResponse) -> None:
    try:
        response.shutdown()
    except (ValueError, RuntimeError, OSError):  # it has ended already
        return
