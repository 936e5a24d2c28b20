"""The one wait for a rollout: until all pods are new and available, or its time is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from webhook.controller.ports import Deployments
    from webhook.model.deployments import Deployment

_POLL_SECONDS = 2.0
"""Seconds between reads of a rollout."""


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """How many Deployments are restarted at a time, and how many seconds a rollout may take."""

    at_a_time: int = 1
    timeout: float = 600.0


async def end_of_rollout(
    deployments: Deployments,
    namespace: str,
    name: str,
    seconds: float,
    *,
    noted: bool = True,
) -> Deployment | None:
    """The Deployment when a rollout of ours has ended, or after `seconds`.

    None where the Deployment is gone. Where our restart is `noted`, None also where the note is gone: the
    Deployment was recreated, or its owner has removed the note. Raises ClusterError.
    """
    clock = loop_clock()
    until = clock() + seconds
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        deployment = await deployments.get(namespace, name)
        if deployment is None or (noted and deployment.restarted_by_us is None):
            return None
        if deployment.is_rolled_out or clock() >= until:
            return deployment
