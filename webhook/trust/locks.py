"""The lock of a program that runs once: it keeps tasks of one process apart, not processes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.domain.names import RoleArn


class InProcessHold:
    """Held until it is given back: nobody outside this process can take it."""

    def outlasts(self, seconds: float) -> bool:  # noqa: ARG002  the port's signature
        """Always: this lock has no expiry."""
        return True


class InProcessLock:
    """A RoleLock for a single replica. It does not guard against a second one."""

    def __init__(self) -> None:
        self._locks: defaultdict[RoleArn, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, role: RoleArn) -> AsyncIterator[InProcessHold]:
        """Wait for the role's lock and hold it inside the `async with`."""
        async with self._locks[role]:
            yield InProcessHold()
