"""Rollouts of restarts: how many at a time, the one wait for their end, and the pauses after those that failed.

Each namespace pauses for itself, so that no owner delays others.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from webhook.controller.ports import Deployments
    from webhook.model.deployments import Deployment

_POLL_SECONDS = 2.0
"""Seconds between reads of a rollout."""

_FIRST, _LAST = 60.0, 3600.0
"""Seconds until the next restart in a namespace; twice as many after each further restart that failed."""

_IN_A_ROW = 3
"""After restarts in so many namespaces did not help, all wait: most likely EKS's webhook is down."""


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """How many Deployments are restarted at a time, and how many seconds a rollout may take."""

    at_a_time: int = 1
    timeout: float = 600.0


async def end_of_rollout(
    deployments: Deployments,
    namespace: str,
    name: str,
    seconds: float,
    *,
    noted: bool = True,
) -> Deployment | None:
    """The Deployment when a rollout of ours has ended, or after `seconds`.

    None where the Deployment is gone. Where our restart is `noted`, None also where the note is gone: the
    Deployment was recreated, or its owner has removed the note. Raises ClusterError.
    """
    clock = loop_clock()
    until = clock() + seconds
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        deployment = await deployments.get(namespace, name)
        if deployment is None or (noted and deployment.restarted_by_us is None):
            return None
        if deployment.is_rolled_out or clock() >= until:
            return deployment


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
