"""Waiting for rollouts: until all pods are new and available, or for as long as there is patience."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.controller.ports import Deployments
    from webhook.model.deployments import Deployment

_LOOK_SECONDS = 2.0
"""From one look at a rollout to the next."""


async def end_of_rollout(deployments: Deployments, namespace: str, name: str, until: float) -> Deployment | None:
    """The Deployment when a rollout of ours has ended, or at `until` on the event loop's clock.

    None where it is gone, was recreated, or its owner has removed our note. Raises ClusterError.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        deployment = await deployments.get(namespace, name)
        if deployment is None or deployment.restarted_by_us is None:
            return None
        if deployment.is_rolled_out or asyncio.get_running_loop().time() >= until:
            return deployment
