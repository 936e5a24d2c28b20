"""The live namespaces as admission asks for them: the watch cache, and direct reads at a bounded rate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from webhook.model.decisions import LiveNamespace

_READS_PER_SECOND = 200.0
_BURST = 400.0
_LONGEST_READ = 3.0
"""Seconds that one read may take, however long those that share it would wait."""
_WATCH_DELAY = 0.1
"""Seconds within which the watch shows a new namespace, as a rule."""


class NamespaceUnknownError(Exception):
    """The API server could not be asked in time what a namespace is."""


if TYPE_CHECKING:
    _Found = LiveNamespace | NamespaceUnknownError | None


class NamespaceCache(Protocol):
    """The namespaces by the watch."""

    @property
    def namespaces_in_touch(self) -> bool:
        """Whether namespaces are known as they are now, but for the watch's own delay."""

    def cached(self, name: str) -> LiveNamespace | None:
        """The namespace as the watch last showed it."""

    def record_live(self, name: str, selected: LiveNamespace | None) -> None:
        """Take in a live read of `name`: the namespace where a binding selects it, else None."""


class LiveNamespaces:
    """The namespaces by the watch (`cache`) and by direct reads of the API server (`read`, with seconds).

    Reads are limited to 200 a second, 400 in a burst, so forged reviews cannot flood the API server. A review that
    cannot be served in time takes no turn, so a flood leaves no queue behind. Reviews share reads: for each
    namespace at most one read is under way, and one waits for its turn. Each review is answered by a read that
    began after it had come.
    """

    def __init__(
        self, cache: NamespaceCache, read: Callable[[str, float], Awaitable[LiveNamespace | None]]
    ) -> None:
        self.cache = cache
        self._read = read
        self._tokens = _BURST
        self._counted_at = 0.0
        self._next: dict[str, asyncio.Task[_Found]] = {}
        self._under_way: dict[str, asyncio.Task[_Found]] = {}

    async def fetch(self, name: str, seconds: float) -> LiveNamespace | None:
        """The namespace as the API server has it now.

        Raises NamespaceUnknownError after `seconds`. Where its turn would come later than that, it takes none: it
        waits a tenth of a second for a watch in touch to show the namespace.
        """
        read = self._next.get(name)
        if read is None:
            wait = self._wait_for_turn()
            if wait >= seconds:
                if self.cache.namespaces_in_touch:
                    await asyncio.sleep(min(_WATCH_DELAY, max(seconds, 0)))
                if (shown := self._shown(name)) is not None:
                    return shown
                raise NamespaceUnknownError("too many namespaces are being looked up")
            self._tokens -= 1
            read = asyncio.get_running_loop().create_task(self._read_in_turn(name, wait), name=f"look up {name}")
            self._next[name] = read
        done, _ = await asyncio.wait([read], timeout=max(seconds, 0))
        if not done:
            raise NamespaceUnknownError(f"namespace {name} was not read within {seconds:.1f} s")
        found = read.result()
        if isinstance(found, NamespaceUnknownError):
            raise NamespaceUnknownError(str(found))
        return found

    def _shown(self, name: str) -> LiveNamespace | None:
        """The namespace by a watch in touch, which is usually faster than a read that has to queue."""
        return self.cache.cached(name) if self.cache.namespaces_in_touch else None

    async def _read_in_turn(self, name: str, wait: float) -> _Found:
        """Read when its turn has come and the read before it has ended; until then other reviews can join."""
        sooner = min(wait, _WATCH_DELAY)
        await asyncio.sleep(sooner)
        if wait and (shown := self._shown(name)) is not None:
            self._tokens += 1
            del self._next[name]
            return shown
        await asyncio.sleep(wait - sooner)
        if before := self._under_way.get(name):
            await asyncio.wait([before])
        self._under_way[name] = self._next.pop(name)
        try:
            async with asyncio.timeout(_LONGEST_READ):
                return await self._read(name, _LONGEST_READ)
        except TimeoutError:
            return NamespaceUnknownError(f"namespace {name} was not read within {_LONGEST_READ:.1f} s")
        except ClusterError as error:
            return NamespaceUnknownError(str(error))
        finally:
            del self._under_way[name]

    def _wait_for_turn(self) -> float:
        """Seconds until the next turn."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._tokens + (now - self._counted_at) * _READS_PER_SECOND, _BURST)
        self._counted_at = now
        return max(1 - self._tokens, 0) / _READS_PER_SECOND
