"""The live namespaces as admission asks for them: the watch cache, and direct reads at a bounded rate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.domain.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from webhook.domain.decisions import LiveNamespace

_READS_PER_SECOND = 200.0
_BURST = 400.0


class NamespaceUnknownError(Exception):
    """The API server could not be asked in time what a namespace is."""


class LiveNamespaces:
    """The namespaces by the watch cache (`cached`) and by the API server itself (`read`, with seconds).

    Reads go to the API server at 200 a second at most, 400 in a burst: forged reviews cannot flood it. Who could
    not be served in time takes no turn, so that a flood is over when it is over.
    """

    def __init__(
        self,
        cached: Callable[[str], LiveNamespace | None],
        read: Callable[[str, float], Awaitable[LiveNamespace | None]],
    ) -> None:
        self._cached = cached
        self._read = read
        self._tokens = _BURST
        self._counted_at = 0.0

    def cached(self, name: str) -> LiveNamespace | None:
        """The namespace as the watch last showed it."""
        return self._cached(name)

    async def fetch(self, name: str, seconds: float) -> LiveNamespace | None:
        """The namespace as the API server has it now.

        Raises NamespaceUnknownError after `seconds`, or at once where its turn would come later.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._take_turn(seconds)
                return await self._read(name, seconds)
        except TimeoutError as error:
            raise NamespaceUnknownError(f"namespace {name} was not read within {seconds:.1f} s") from error
        except ClusterError as error:
            raise NamespaceUnknownError(str(error)) from error

    async def _take_turn(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._tokens + (now - self._counted_at) * _READS_PER_SECOND, _BURST)
        self._counted_at = now
        wait = max(1 - self._tokens, 0) / _READS_PER_SECOND
        if wait > seconds:
            raise NamespaceUnknownError("too many namespaces are being looked up")
        self._tokens -= 1
        await asyncio.sleep(wait)
