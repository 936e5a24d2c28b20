"""Writing Events without delaying what they are about."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from webhook.kube.objects import AnyObject
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from webhook.kube.connection import Connection
    from webhook.telemetry.events import EventSubject

log = structlog.get_logger(__name__)

_REPEAT_SECONDS = 600.0
_REMEMBERED = 10_000
_UNDER_WAY = 100
_PAUSE = 0.05
"""Seconds after each Event: writing one takes as much CPU as a review, and reviews must not wait."""
_LONGEST_MESSAGE = 1000
_COMPONENT = "mxp-identity-webhook"
_VERSIONS = {"Deployment": "apps/v1"}


class EventWriter:
    """Writes Events in the background (create events), one at a time, the same one at most every ten minutes.

    While a hundred wait, further ones are dropped: Events are only for people.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: OrderedDict[tuple[EventSubject, str], float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def warn(self, about: EventSubject, reason: str, message: str) -> None:
        """Something needs a person, or patience."""
        self._write(about, "Warning", reason, message)

    def note(self, about: EventSubject, reason: str, message: str) -> None:
        """Something was done."""
        self._write(about, "Normal", reason, message)

    def _write(self, about: EventSubject, kind: str, reason: str, message: str) -> None:
        now = asyncio.get_running_loop().time()
        written = self._written.get((about, reason))
        if len(self._tasks) >= _UNDER_WAY or (written is not None and now - written < _REPEAT_SECONDS):
            return
        self._written[about, reason] = now
        self._written.move_to_end((about, reason))
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        event = _event(about, kind, reason, message)
        task = asyncio.get_running_loop().create_task(self._send(about.namespace, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, namespace: str, event: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{namespace}/events"
        async with self._turn:
            try:
                await self._connection.in_thread(lambda: self._connection.ask(AnyObject, "POST", path, body=event))
            except ClusterError as error:
                log.warning("event_not_written", namespace=namespace, reason=str(error))
            await asyncio.sleep(_PAUSE)


def _event(about: EventSubject, kind: str, reason: str, message: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    version = _VERSIONS.get(about.kind, "v1")
    involved = {"apiVersion": version, "kind": about.kind, "namespace": about.namespace, "name": about.name}
    if about.uid:
        involved["uid"] = about.uid
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{about.name}.", "namespace": about.namespace},
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": os.environ.get("POD_NAME", ""),
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
