"""What /healthz is about: 503 where a loop of the program hangs, 200 whatever AWS and the API server do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.simulated_iam import Trouble
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import World, labelled
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError
from webhook.server.health import plain_application
from webhook.server.program import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulated_cluster import SimulatedSource
    from webhook.telemetry.progress import Progress

HOUR = 3600.0
SLOWEST_CALL = 10.0
"""Seconds after which a call to a silent API server has failed."""


async def healthz(progress: Progress) -> tuple[int, str]:
    """What the kubelet gets."""
    transport = httpx.ASGITransport(plain_application(Lifecycle(), progress))
    async with httpx.AsyncClient(transport=transport, base_url="http://webhook") as client:
        reply = await client.get("/healthz")
    return reply.status_code, reply.text


async def hangs(*_: object, **__: object) -> None:
    """What never ends."""
    await asyncio.Event().wait()


HANGING: dict[str, Callable[[World], tuple[object, str]]] = {
    "reflector": lambda world: (world.cluster.namespaces, "list"),
    "leadership": lambda world: (world.leases, "update"),
    "pods": lambda world: (world.cluster, "pods"),
    "trust_writer": lambda world: (type(world.iam.client()), "read"),
    "associations": lambda world: (type(world.eks), "list"),
}


@pytest.mark.parametrize("loop", HANGING)
@in_virtual_time
async def test_a_loop_that_hangs_is_named_and_for_how_long(monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    mode = Mode.POD_IDENTITY if loop == "associations" else Mode.IRSA
    world = World(labelled(role(), mode=mode))
    world.cluster.add_namespace(subject(1).namespace)
    target, name = HANGING[loop](world)
    monkeypatch.setattr(target, name, hangs)
    async with world.running():
        assert await healthz(world.progress) == (200, "ok\n")
        await asyncio.sleep(HOUR)
        status, text = await healthz(world.progress)
        assert status == 503
        assert text.startswith(f"the loop {loop} makes no progress: a step lasts ")
        assert float(text.split(" lasts ")[1].split(" s,")[0]) == pytest.approx(HOUR, abs=120)


@pytest.mark.parametrize("silent", [False, True], ids=["down", "silent"])
@in_virtual_time
async def test_an_hour_without_aws_and_the_api_server_is_no_lack_of_health(
    monkeypatch: pytest.MonkeyPatch,
    silent: bool,  # noqa: FBT001
) -> None:
    world = World(labelled(role()), labelled(role("pods"), name="pods", mode=Mode.POD_IDENTITY))
    for number in range(20):
        world.cluster.add_namespace(subject(number).namespace)
        world.cluster.add_account(subject(number))

    async def fails(*_: object, **__: object) -> None:
        await asyncio.sleep(SLOWEST_CALL if silent else 0.01)
        raise ClusterError("no answer")

    async def fails_in_eks(*_: object, **__: object) -> None:
        await asyncio.sleep(4.0 if silent else 0.01)
        raise AwsError(FailureKind.UNAVAILABLE, "no answer")

    async with world.running():
        world.iam.have(Trouble.HANGS if silent else Trouble.REFUSED)
        sources: list[SimulatedSource[Any]] = [world.cluster.namespaces, *world.cluster.accounts.values()]
        for source in sources:
            monkeypatch.setattr(source, "list", fails)
            monkeypatch.setattr(source, "failing_watches", float("inf"))
            source.break_watches()
        for name in ("pods", "namespace", "account", "annotate"):
            monkeypatch.setattr(world.cluster, name, fails)
        for name in ("get", "create", "update"):
            monkeypatch.setattr(world.leases, name, fails)
        for name in ("list", "describe", "create", "update", "delete"):
            monkeypatch.setattr(type(world.eks), name, fails_in_eks)
        end = now() + HOUR
        while now() < end:
            assert await healthz(world.progress) == (200, "ok\n")
            await asyncio.sleep(30)
