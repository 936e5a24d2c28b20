"""The lock of a program that runs once: it keeps tasks of one process apart, not processes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from webhook.domain.names import RoleArn, Subject
    from webhook.trust.ports import Seen


class InProcessHold:
    """Held until it is given back: nobody outside this process can take it."""

    def remember(self, written: Mapping[Subject, float]) -> None:
        """Nothing to do: the one writer of the role remembers by itself."""

    async def again(self) -> bool:
        """Always: nobody else waits."""
        return True

    def outlasts(self, seconds: float) -> bool:  # noqa: ARG002  the port's signature
        """Always: this lock has no expiry."""
        return True


class InProcessLock:
    """A RoleLock for a single replica. It does not guard against a second one."""

    def __init__(self) -> None:
        self._locks: defaultdict[RoleArn, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, role: RoleArn, seen: Seen) -> AsyncIterator[InProcessHold]:  # noqa: ARG002  nobody else writes
        """Wait for the role's lock and hold it inside the `async with`."""
        async with self._locks[role]:
            yield InProcessHold()
