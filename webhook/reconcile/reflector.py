"""A mirror of one kind of object: list, then watch, for ever.

The official client's informer has no backoff and does not notice a silent watch, so this is our own: paged list,
watch with server and client timeouts, bookmarks, jittered backoff, a new list when the version is too old.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from webhook.reconcile.ports import ClusterError, ExpiredError
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.reconcile.ports import Change, Source

log = structlog.get_logger(__name__)

T = TypeVar("T")

_FIRST_BACKOFF = 0.2
_LAST_BACKOFF = 10.0
_SHORTEST_WATCH = 1.0

LONGEST_LIST = 1800.0
"""Seconds for a list: of a slow API server each page takes some, and there may be a hundred."""


class Reflector(Generic[T]):
    """Holds what the API server holds, and tells of each change as it is applied, with what was there before."""

    def __init__(
        self,
        source: Source[T],
        changed: Callable[[str, T | None], None],
        progress: Progress | None = None,
    ) -> None:
        self._source = source
        self._progress = progress or Progress()
        self._changed = changed
        self._version: str | None = None
        self._failures = 0
        # From the start, or nobody sees the first failure: a rate needs two samples.
        self._failed = metrics.watch_failures.labels(source.resource)
        self.objects: dict[str, T] = {}
        self.synced = asyncio.Event()

    @property
    def in_touch(self) -> bool:
        """Whether there was a list, and the last list or watch did not fail."""
        return self.synced.is_set() and not self._failures

    async def run(self) -> None:
        """Mirror until cancelled."""
        while True:
            try:
                await self._list_and_watch()
            except ExpiredError as error:
                self._version = None
                await self._back_off(str(error))
            except ClusterError as error:
                await self._back_off(str(error))
            except Exception as error:
                log.exception("reflector_failed", resource=self._source.resource)
                metrics.unexpected_errors.labels("reflector").inc()
                self._version = None
                await self._back_off(repr(error))

    async def _list_and_watch(self) -> None:
        if self._version is None:
            with self._progress.step("reflector", LONGEST_LIST):
                objects, version = await self._source.list()
            self._replace(objects)
            self._version = version
            self.synced.set()
        started = asyncio.get_running_loop().time()
        silent = True
        async for change in self._source.watch(self._version):
            self._apply(change)
            self._failures = 0
            silent = False
        # The server ends a watch after some minutes; something is wrong where it does so at once.
        if silent and asyncio.get_running_loop().time() - started < _SHORTEST_WATCH:
            raise ClusterError(f"watch {self._source.resource}: ended at once without a change")
        await asyncio.sleep(random.uniform(0, _FIRST_BACKOFF))  # noqa: S311

    async def _back_off(self, reason: str) -> None:
        self._failures += 1
        pause = min(_FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 10), _LAST_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failed.inc()
        log.warning("watch_failed", resource=self._source.resource, reason=reason, retry_in_s=round(pause, 2))
        await asyncio.sleep(pause)

    def _replace(self, objects: dict[str, T]) -> None:
        before, self.objects = self.objects, objects
        self._count()
        for key in before.keys() | objects.keys():
            if before.get(key) != objects.get(key):
                self._changed(key, before.get(key))

    def _apply(self, change: Change[T]) -> None:
        self._version = change.version
        if change.key is None:
            return
        before = self.objects.get(change.key)
        if change.value is None:
            self.objects.pop(change.key, None)
        elif before == change.value:
            return
        else:
            self.objects[change.key] = change.value
        self._count()
        self._changed(change.key, before)

    def _count(self) -> None:
        metrics.watched_objects.labels(self._source.resource).set(len(self.objects))
