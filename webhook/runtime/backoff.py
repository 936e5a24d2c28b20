"""How long to wait before the next try, after any failure.

Where AWS throttles, `rate_limiter` also slows down all other calls.
"""

from __future__ import annotations

import random

_FIRST = 0.25
LONGEST = 10.0
"""Seconds."""


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, from 1 on: twice as long each time, never in step."""
    return min(_FIRST * 2.0 ** min(failures - 1, 10), LONGEST) * random.uniform(0.75, 1.0)  # noqa: S311
