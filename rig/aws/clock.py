"""A clock that only moves when told to."""


class ManualClock:
    """Seconds since 1970, starting in 2026 unless told otherwise."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
