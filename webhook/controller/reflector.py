"""A mirror of one kind of object: list, then watch, for ever.

The official client's informer has no backoff and does not notice a silent watch. So this is our own: paged list,
watch with server and client timeouts, bookmarks, jittered backoff, a new list when the version is too old.

A watch does not say that etcd was restored to an older revision: it stays silent until etcd comes to the version
where it began. So the mirror compares its version with the API server's, before a watch continues and where a
bookmark shows no progress. If the API server's is older, the mirror lists again. A list within the hour shows what
else a watch may miss.

Versions of one cluster are numbers and may be compared (KEP-5504). For a version that is not a number a source
raises ClusterError, and the watch begins again where it was.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from webhook.controller.ports import MOST_OBJECTS
from webhook.model.errors import ClusterError, ExpiredError
from webhook.runtime.clock import loop_clock, pause_after
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.controller.ports import Change, Source

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LONGEST_GAP = 0.2
"""Seconds from the end of a watch to the next, so that replicas do not begin theirs in step."""

_SHORTEST_WATCH = 1.0

_LIST_SECONDS = (2400.0, 3200.0)
"""Seconds until the next list, at random: within the hour, even where a watch of 5 minutes has to end first."""

_LIST_FAILED_SECONDS = 300.0

_BACKWARDS = "its version is {} and was higher before: etcd was restored to an older revision"

LONGEST_SYNC = 1800.0
"""Seconds of a list: it ends by itself in half of them, and may wait for its turn before."""


class Reflector(Generic[T]):
    """Holds what the API server holds, and reports each change as it is applied, with what was there before."""

    def __init__(
        self,
        source: Source[T],
        changed: Callable[[str, T | None], None],
        progress: Progress | None = None,
    ) -> None:
        self._clock = loop_clock()
        self._source = source
        self._progress = progress or Progress()
        self._changed = changed
        self._version: str | None = None
        self._list_at = 0.0
        self._failures = 0
        # From the start: a rate needs two samples, so the first failure would not be seen.
        self._failed = metrics.watch_failures.labels(source.resource)
        self.objects: dict[str, T] = {}
        self.synced = asyncio.Event()
        self.in_touch = False
        """Whether no list or watch has failed since the last list, change or bookmark.

        A watch that was merely opened does not count: earlier changes may still be on their way.
        """
        self.gaps = 0
        """How often `in_touch` was lost."""
        self.is_watched = False
        """Whether a watch in touch showed the change that is reported now: no list, nor the first after a gap."""

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
        now = self._clock()
        if self._version is None or now >= self._list_at:
            version = await self._list()
        else:
            version = self._version
            await self._check_not_older_than(version)
        started = self._clock()
        silent = True
        async with aclosing(self._source.watch(version)) as changes:
            async for change in changes:
                if int(change.version) < int(self._version or version):
                    raise ExpiredError(f"watch {self._source.resource}: {_BACKWARDS.format(change.version)}")
                if change.key is None and change.version == self._version:
                    await self._check_not_older_than(change.version)
                self._apply(change)
                self._failures = 0
                self.in_touch = True
                silent = False
        # The server ends a watch after some minutes. Where it ends at once, something is wrong.
        if silent and self._clock() - started < _SHORTEST_WATCH:
            raise ClusterError(f"watch {self._source.resource}: ended at once without a change")
        await asyncio.sleep(random.uniform(0, _LONGEST_GAP))  # noqa: S311

    async def _list(self) -> str:
        """Replace the mirror by a new list, and answer its version.

        Where a list that is due by time fails, the watch continues, and the list is tried again later.
        """
        self._list_at = self._clock() + _LIST_FAILED_SECONDS
        with self._progress.step("reflector", LONGEST_SYNC):
            objects, version = await self._source.list()
        self._version = version
        self._replace(objects)
        self._list_at = self._clock() + random.uniform(*_LIST_SECONDS)  # noqa: S311
        self.synced.set()
        self.in_touch = True
        return version

    async def _check_not_older_than(self, version: str) -> None:
        """Raise ExpiredError where the API server's version is older than `version`: it was set back."""
        found = await self._source.newest_version()
        if int(found) < int(version):
            raise ExpiredError(f"list {self._source.resource}: {_BACKWARDS.format(found)}")

    async def _back_off(self, reason: str) -> None:
        self.in_touch = False
        self.gaps += 1
        self._failures += 1
        pause = pause_after(self._failures)
        self._failed.inc()
        log.warning("watch_failed", resource=self._source.resource, reason=reason, retry_in_s=round(pause, 2))
        await asyncio.sleep(pause)

    def _replace(self, objects: dict[str, T]) -> None:
        before, self.objects = self.objects, objects
        self.is_watched = False
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
        elif before is None and len(self.objects) >= MOST_OBJECTS:
            raise ExpiredError(f"watch {self._source.resource}: there are more than {MOST_OBJECTS} objects")
        else:
            self.objects[change.key] = change.value
        self.is_watched = self.in_touch
        self._count()
        self._changed(change.key, before)

    def _count(self) -> None:
        metrics.watched_objects.labels(self._source.resource).set(len(self.objects))
