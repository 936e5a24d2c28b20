"""A clock that only moves when told to."""

import time


class ManualClock:
    """Seconds since 1970; starts at the real time, so that what is dated by it is not long over."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
