"""A lock for each role: what a writer needs of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from webhook.model.names import RoleArn, Subject


Seen = Callable[["Mapping[Subject, float]", "Mapping[Subject, float]"], None]
"""Takes the subjects written to a role in the last minute and those removed, with their ages in seconds."""


WaitsSince = Callable[[], float]
"""Since when, on the loop's clock, somebody waits for what the lock is wanted for; infinity where nobody does."""


class LockError(Exception):
    """A role's lock could not be taken or kept; the message says why."""


class Hold(Protocol):
    """A role's lock, held."""

    def remember(self, written: Mapping[Subject, float], removed: Mapping[Subject, float]) -> None:
        """Have other replicas know what was written and removed, and how many seconds ago.

        It is stored with the next renewal, or when the lock is given back.
        """

    def outlasts(self, seconds: float) -> bool:
        """Whether the lock is ours for that much longer; a write is sent only if so. For any thread."""

    async def again(self) -> bool:
        """Keep it for another cycle; False where another replica waits for it or has it. Raises LockError."""


class RoleLock(Protocol):
    """Keeps the writers of one role apart.

    It does not fence: a holder that is stalled for longer than its lock lasts can still send a write. The pass
    over the whole cluster puts right what slips through.
    """

    def hold(self, role: RoleArn, seen: Seen, waits_since: WaitsSince) -> AbstractAsyncContextManager[Hold]:
        """Wait for the role's lock and hold it inside the `async with`. Raises LockError.

        While waiting, and once held, `seen` is called with what other holders wrote and removed lately. They are
        asked to hand the lock over only while `waits_since` says that somebody has waited for long.
        """
