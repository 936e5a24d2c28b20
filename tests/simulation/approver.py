"""A person who runs `apply --approve`: the command's own code over the world, in a process that ends with it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation.api_server import ApiClient
from tests.simulation.aws import AwsClient
from tests.simulation.processes import Process
from tests.support.sites import SERVICE_ACCOUNT, own_in
from webhook.cli.apply.engine import Applier, applier_over, remove
from webhook.cli.output import Done
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.model.aws_errors import AwsError
from webhook.planning.plan import Change, Plan, RoleChange

if TYPE_CHECKING:
    from tests.simulation.world import World
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn, Subject

_LONGEST = 300.0
"""Seconds after which the person has lost patience."""


async def approve(world: World, at: float) -> None:
    """Remove all subjects that are unused at this moment, whatever the grace and the limit say."""
    await asyncio.sleep(at)
    process = Process(f"person-{at:.3f}")
    world.witness.note(process.name, "approves all removals")
    world.witness.removals.approves(process)
    await asyncio.wait({process.start(_apply(world, process), "apply")}, timeout=_LONGEST)
    process.kill()
    world.former_people.append(process)


async def _apply(world: World, process: Process) -> None:
    client, binding = _PersonsClient(world, process), world.plan.binding
    cache = ClusterCache(
        (binding,),
        client.source("namespaces"),
        {SERVICE_ACCOUNT: client.source("accounts")},
        world.witness.now,
        world.plan.rules.grace,
    )
    policies = AwsClient(world.iam, world.wire, world.witness, process, "ours", own_in)
    engine = build_engine(
        binding.roles, own_in, lambda _: policies, LeaseLock(client, process.name), partial(DesiredState, cache)
    )
    try:
        async with applier_over(engine, client, policies, cache, Done()) as applier:
            plan = Plan(tuple([await _change(applier, role) for role in binding.roles]))
            await remove(applier, plan, lambda _: None)
    except AwsError as error:
        world.witness.note(process.name, f"gives up: {error}")


async def _change(applier: Applier, role: RoleArn) -> RoleChange:
    policy, own = await applier.policies.read(role), own_in(role)
    unwanted = [
        subject for subject in sorted(policy.subjects(own)) if applier.engine.desired.may_remove(role, subject)
    ]
    return RoleChange(
        role, own, policy, policy, removed=tuple(Change(subject, "not wanted") for subject in unwanted)
    )


class _PersonsClient(ApiClient):
    """A person's way to the API server: a namespace is read right before a subject is removed."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.api, process.name)
        self._world = world
        self._process = process

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:  # noqa: ARG002  the port's signature
        """As the port says."""
        return await self.call(lambda: self._said("namespaces", name))

    async def account(self, subject: Subject, seconds: float) -> Account | None:  # noqa: ARG002  the port's signature
        """As the port says."""
        return await self.call(lambda: self._said("accounts", subject.namespace))

    def _said(self, kind: str, name: str) -> Any:
        self._world.witness.removals.asked(self._process, name)
        return self._world.api.read(kind, name)
