"""Polling with a deadline: how the rig and its tests wait for a condition, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1
PAUSES = 20
"""What was waited for so far is so many pauses at least: asking costs whoever is asked more than the waiting."""


class NotInTimeError(TimeoutError):
    """A condition did not come true before its deadline; the message says which and how long it had."""


def eventually(
    condition: Callable[[], T | None], what: str, *, timeout: float = 30.0, longest_pause: float = LONGEST_PAUSE_S
) -> T:
    """Return the first truthy value of `condition`, asked every 20 ms at first and every 100 ms after two seconds.

    Where asking costs something, a larger `longest_pause` (seconds) has it asked less often later on.

    `what` completes the sentence "... did not happen within N s". An exception of `condition` is not caught;
    a condition that may fail for a while answers None or False for it.
    """
    began = time.monotonic()
    while True:
        if value := condition():
            return value
        waited = time.monotonic() - began
        if waited > timeout:
            raise NotInTimeError(f"{what}: did not happen within {timeout:g} s")
        time.sleep(min(max(waited / PAUSES, SHORTEST_PAUSE_S), longest_pause))
