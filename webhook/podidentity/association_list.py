"""When all associations of the cluster are listed, and which of those that the lists lack are overdue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from webhook.model.names import Subject
    from webhook.runtime.clock import Clock

_OVERDUE_AFTER = 300.0
"""Seconds: the 5,000 that a cluster may have are created within 250."""


class AssociationList:
    """Calls `read`, which lists all and raises AwsError: once, with each pass, and when this replica leads.

    A new leader lists again, because the leader before has created some. `leads_since` answers since when this
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
        """Wait until the list was read once; the leader needs one read since it leads.

        Raises AwsError where the list was never read.
        """
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


class OverdueAssociations:
    """The associations that the leader seems not to create, by the lists of a replica that does not lead."""

    def __init__(self) -> None:
        self._missing: dict[Subject, float] = {}

    def reset(self) -> None:
        """Begin again: this replica leads."""
        self._missing = {}

    def update(self, missing: Collection[Subject], now: float) -> list[Subject]:
        """Record what a list lacks; answers what is overdue.

        An association is overdue where the list before lacked it too. Where the two lists show that the leader has
        created others meanwhile, it is overdue only after five minutes: the leader creates them one after another.
        """
        before, self._missing = self._missing, {one: self._missing.get(one, now) for one in missing}
        none_was_created = before.keys() <= self._missing.keys()
        return [
            one
            for one, since in self._missing.items()
            if one in before and (none_was_created or since <= now - _OVERDUE_AFTER)
        ]
