"""What the leader does, side by side, for as long as it leads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.runtime.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from webhook.controller.binding_conflicts import BindingConflicts
    from webhook.controller.leader_election import Leadership
    from webhook.controller.pruner import Pruner
    from webhook.controller.remediation.pods import PodsWithoutIdentity


@dataclass(frozen=True, slots=True)
class Leader:
    """The work of which one replica is enough."""

    pruner: Pruner
    conflicts: BindingConflicts
    pods: PodsWithoutIdentity
    remediation: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
    """What is done for Deployments, each until cancelled."""
    interval: float
    """Seconds between rounds."""
    take_over: Callable[[], None]
    """Starts at once what the leader before left open."""

    async def lead(self, leadership: Leadership) -> None:
        """Work until cancelled."""
        self.take_over()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise("pruner", lambda: self.pruner.run(leadership, self.interval)))
            tasks.create_task(supervise("binding_conflicts", lambda: self.conflicts.run(self.interval)))
            tasks.create_task(supervise("pods", lambda: self.pods.run(self.interval)))
            for name, loop in self.remediation.items():
                tasks.create_task(supervise(name, loop))
