"""The moment by which an answer has to be complete, however slowly it comes.

A timeout of urllib3 is for one read of a socket: a server that sends a byte a second never meets it, neither in
its headers nor in its body.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from http.client import HTTPResponse
from math import inf
from threading import local
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

    from urllib3 import PoolManager

_of_thread = local()


class DeadlineError(Exception):
    """The answer was not complete in time. No OSError, which urllib3 would put into other words."""


class Deadline:
    """`seconds` from now; it can be moved, but not past the moment that is `at_most` seconds from now."""

    def __init__(self, seconds: float, at_most: float = inf) -> None:
        self._end = monotonic() + at_most
        self.extend(seconds)

    def extend(self, seconds: float) -> None:
        """Move it to `seconds` from now."""
        self._seconds = seconds
        self._moment = min(monotonic() + seconds, self._end)

    def left(self) -> float:
        """The seconds until then. Raises DeadlineError where there are none."""
        left = self._moment - monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> DeadlineError:
        """What to raise once it has passed."""
        return DeadlineError(f"no complete answer within {self._seconds:g} s")


@contextmanager
def answered_by(deadline: Deadline) -> Iterator[None]:
    """Have each answer to a request that this thread sends meanwhile end by `deadline`, headers and body."""
    _of_thread.deadline = deadline
    try:
        yield
    finally:
        del _of_thread.deadline


def respect_deadlines(manager: PoolManager) -> None:
    """Make `answered_by` hold for the requests of a pool manager; it has sent none so far."""
    kinds: dict[str, Any] = manager.pool_classes_by_scheme  # other ones where a proxy speaks SOCKS
    manager.pool_classes_by_scheme = {scheme: _respecting(kind) for scheme, kind in kinds.items()}


def _respecting(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, _of_thread.deadline))


class _Reader(io.RawIOBase):
    """Reads of a socket, of which each may take as long as the deadline leaves."""

    def __init__(self, raw: Any, sock: socket, deadline: Deadline) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left())
        try:
            read: int | None = self._raw.readinto(buffer)
        except TimeoutError as error:
            raise self._deadline.passed() from error
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()
