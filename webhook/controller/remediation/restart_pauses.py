"""How long restarts wait after ones that failed: each namespace for itself, so that no owner delays others."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST, _LAST = 60.0, 3600.0
"""Seconds until the next restart in a namespace; twice as many after each further restart that failed."""

_IN_A_ROW = 3
"""After restarts in so many namespaces did not help, all wait: most likely EKS's webhook is down."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """How many restarts of a namespace were in vain, and until when it waits."""

    in_vain: int
    until: float


class RestartPauses:
    """Which namespaces wait. Times are seconds on one clock that never jumps.

    When all wait, it is for `longest` seconds at most, the time that a rollout that does not end takes.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._pauses: dict[str, _Pause] = {}
        self._unhelped: set[str] = set()
        self._all_wait_until = float("-inf")

    def is_over(self, namespace: str, now: float) -> bool:
        """Whether a Deployment there may be restarted now."""
        pause = self._pauses.get(namespace)
        return now >= self._all_wait_until and (pause is None or now >= pause.until)

    def helped(self, namespace: str) -> None:
        """A restart there gave its pods their identity."""
        self._pauses.pop(namespace, None)
        self._unhelped.clear()

    def failed(self, namespace: str, now: float) -> None:
        """A rollout there did not end, or was undone by its owner."""
        self._pauses = {name: one for name, one in self._pauses.items() if now < one.until + _LAST}
        in_vain = self._pauses[namespace].in_vain if namespace in self._pauses else 0
        self._pauses[namespace] = _Pause(in_vain + 1, now + min(_doubled(in_vain), _LAST))

    def did_not_help(self, namespace: str, now: float) -> None:
        """A rollout there ended, and its pods still lack their identity."""
        self.failed(namespace, now)
        self._unhelped.add(namespace)
        if len(self._unhelped) >= _IN_A_ROW:
            self._all_wait_until = now + min(_doubled(len(self._unhelped) - _IN_A_ROW), self._longest)


def _doubled(times: int) -> float:
    return _FIRST * 2.0 ** min(times, 10)
