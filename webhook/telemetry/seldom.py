"""Log lines that a flood could repeat without end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Seldom:
    """Lets one line of each key through in so many seconds. Keys have to be few."""

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due: dict[Hashable, float] = {}
        self._dropped: dict[Hashable, int] = {}

    def take(self, key: Hashable) -> int | None:
        """The number of lines dropped since the last one, where one is due; else None, and this one is dropped."""
        now = self._clock()
        if now < self._due.get(key, now):
            self._dropped[key] = self._dropped.get(key, 0) + 1
            return None
        self._due[key] = now + self._seconds
        return self._dropped.pop(key, 0)
