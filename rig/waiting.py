"""Polling with a deadline: how the rig and its tests wait for a condition, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02


class NotInTimeError(TimeoutError):
    """A condition did not come true before its deadline; the message says which and how long it had."""


def eventually(
    condition: Callable[[], T | None], what: str, *, timeout: float = 30.0, pause: float = PAUSE_S
) -> T:
    """Return the first truthy value of `condition`, asked every `pause` seconds, by default 20 ms.

    `what` completes the sentence "... did not happen within N s". An exception of `condition` is not caught;
    a condition that may fail for a while answers None or False for it.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: did not happen within {timeout:g} s")
        time.sleep(pause)
