"""How AWS throttles: a bucket of tokens for all callers of one service of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """Admits `rate` calls a second, `burst` of them at once after a rest. `clock` answers seconds."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()
        self.throttled = 0

    def admits(self) -> bool:
        """Whether one call more is admitted now; it takes a token, or is counted as throttled."""
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self.rate, self._burst)
        self._at = now
        if self._tokens < 1:
            self.throttled += 1
            return False
        self._tokens -= 1
        return True
