"""When all associations of the cluster are listed: once, with each pass, and again by a new leader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from webhook.runtime.clock import Clock


class AssociationList:
    """Has the list read by `read`, which raises AwsError, and shares a read that all wait for.

    A new leader reads it again, because the leader before has created some: `leads_since` answers since when this
    replica leads, on `clock`, or None.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[None]],
        leads_since: Callable[[], float | None],
        clock: Clock,
    ) -> None:
        self._read = read
        self._leads_since = leads_since
        self._clock = clock
        self._began = float("-inf")
        self._is_synced = False
        self.reading: asyncio.Task[None] | None = None
        """The first read, or the first since this replica leads."""

    async def wait_until_synced(self) -> None:
        """Wait until the list was read once, as the leader since it leads. Raises AwsError where it never was."""
        try:
            await asyncio.shield(self._required_reading())
        except AwsError:
            if not self._is_synced:
                raise

    async def refresh(self) -> None:
        """Read it again. Raises AwsError."""
        before, required = self.reading, self._required_reading()
        await (self._read_once() if required is before else asyncio.shield(required))

    def _required_reading(self) -> asyncio.Task[None]:
        if self.reading is None or self._is_outdated(self.reading):
            self._began = self._clock()
            self.reading = asyncio.get_running_loop().create_task(self._read_once(), name="list associations")
        return self.reading

    def _is_outdated(self, reading: asyncio.Task[None]) -> bool:
        """Whether a list is needed that is younger than what `reading` has shown."""
        since = self._leads_since()
        return reading.done() and (not self._is_synced or (since is not None and self._began < since))

    async def _read_once(self) -> None:
        await self._read()
        self._is_synced = True
