"""The one wait for a rollout: until all pods are new and available, or its time is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.controller.ports import Deployments
    from webhook.model.deployments import Deployment

_LOOK_SECONDS = 2.0
"""From one look at a rollout to the next."""


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """How many Deployments are restarted at a time, and how many seconds a rollout may take."""

    at_a_time: int = 1
    timeout: float = 600.0


async def end_of_rollout(
    deployments: Deployments, namespace: str, name: str, until: float, *, noted: bool = True
) -> Deployment | None:
    """The Deployment when a rollout of ours has ended, or at `until` on the event loop's clock.

    None where it is gone. Where our restart is `noted`: also where it was recreated, or its owner has removed the
    note. Raises ClusterError.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        deployment = await deployments.get(namespace, name)
        if deployment is None or (noted and deployment.restarted_by_us is None):
            return None
        if deployment.is_rolled_out or asyncio.get_running_loop().time() >= until:
            return deployment
