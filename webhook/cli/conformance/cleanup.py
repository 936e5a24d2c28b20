"""What a run has made, removed again in reverse order, whatever ended the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.kube.errors import RefusedError
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TRIES = 5
_PAUSE_SECONDS = 2.0
"""IAM and EKS may refuse for seconds to delete what was just made or changed."""

_GONE = frozenset({FailureKind.NO_SUCH_ROLE, FailureKind.NOT_FOUND})


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One object of a run. `remove` raises AwsError or ClusterError, and need not mind that it is gone."""

    what: str
    remove: Callable[[], Awaitable[None]]
    command: str
    """How a person removes it."""


@dataclass(frozen=True, slots=True)
class Left:
    """An object that could not be removed, and why."""

    what: str
    reason: str
    command: str


class Cleanup:
    """Remembers what was made. An object is added before the request for it is sent."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._made: list[Made] = []

    def add(self, made: Made) -> None:
        """Remember an object that is about to be made."""
        self._made.append(made)

    def forget(self, made: Made) -> None:
        """Forget an object: AWS or the cluster has refused to make it."""
        self._made.remove(made)

    async def remove(self, made: Made) -> None:
        """Remove one before the end. Raises AwsError and ClusterError, and then it is tried again at the end."""
        await self._removed(made)
        self._made.remove(made)

    async def remove_all(self, note: Callable[[str], None]) -> list[Left]:
        """Remove all, the newest first; answers what could not be removed. Each is reported to `note`."""
        left = []
        while self._made:
            made = self._made.pop()
            note(f"removing {made.what}")
            try:
                await self._removed(made)
            except (AwsError, ClusterError) as error:
                left.append(Left(made.what, str(error), made.command))
        return left

    async def _removed(self, made: Made) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                await made.remove()
            except (AwsError, ClusterError) as error:
                kind = error.kind if isinstance(error, AwsError) else None
                if kind in _GONE:
                    return
                if attempt == _TRIES or kind is FailureKind.ACCESS_DENIED or isinstance(error, RefusedError):
                    raise
                await self._sleep(_PAUSE_SECONDS)
            else:
                return
