"""A look shows what would be done: each decision once in the log, all of them counted."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import capture_logs

from tests.support.samples import sample
from tests.support.simulated_iam import Trouble
from tests.support.sites import ISSUER, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import GRACE, INSTALLATION, INTERVAL, World
from webhook.observe.assembly import snapshot_of
from webhook.observe.observer import Observer
from webhook.planning.account import read_roles
from webhook.planning.plan import make_plan
from webhook.planning.snapshot import Installation
from webhook.server.issuer import ClusterIssuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from webhook.model.names import IssuerUrl, Subject
    from webhook.planning.plan import Plan

FIRST, SECOND = subject(1), subject(2)


@asynccontextmanager
async def observed(world: World) -> AsyncIterator[list[MutableMapping[str, Any]]]:
    """Observe inside the `async with`; what is logged, from the first look on."""
    structlog.reset_defaults()  # where a folder's tests have it quiet
    issuer, policies = ClusterIssuer(), world.iam.client()
    issuer.learn(ISSUER)

    async def plan(known: IssuerUrl) -> Plan:
        account = await read_roles(policies, world.roles, lambda _: None)
        return make_plan(
            Installation(INSTALLATION, known, world.bindings, GRACE), snapshot_of(world.cache), account
        )

    observer = Observer(world.cache, issuer, plan, world.progress)
    tasks = [asyncio.create_task(world.cache.run()), asyncio.create_task(observer.run(INTERVAL))]
    try:
        with capture_logs() as logged:
            await asyncio.sleep(INTERVAL / 2)
            yield logged
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def control_plane(world: World, one: Subject) -> None:
    world.cluster.add_namespace(one.namespace)
    world.cluster.add_account(one)


def subjects_in(logged: list[MutableMapping[str, Any]], event: str) -> list[str]:
    return [line["namespace"] for line in logged if line["event"] == event]


def counted(change: str) -> float | None:
    return sample("mxp_identity_observed_changes", {"change": change})


@in_virtual_time
async def test_each_decision_is_logged_once_and_counted_in_each_round() -> None:
    world = World()
    control_plane(world, FIRST)
    async with observed(world) as logged:
        control_plane(world, SECOND)
        await asyncio.sleep(3 * INTERVAL)
    for event in ("would_trust", "would_annotate"):
        assert subjects_in(logged, event) == [FIRST.namespace, SECOND.namespace]
    assert (counted("trust"), counted("annotate"), counted("remove")) == (2, 2, 0)
    assert len([line for line in logged if line["event"] == "observed"]) == 2


@in_virtual_time
async def test_what_is_no_longer_to_be_done_is_not_counted_and_logged_when_it_comes_back() -> None:
    world = World()
    control_plane(world, FIRST)
    async with observed(world) as logged:
        world.cluster.remove_namespace(FIRST)
        await asyncio.sleep(INTERVAL)
        assert (counted("trust"), counted("annotate")) == (0, 0)
        control_plane(world, FIRST)
        await asyncio.sleep(INTERVAL)
    assert subjects_in(logged, "would_trust") == [FIRST.namespace] * 2


@in_virtual_time
async def test_a_role_that_cannot_be_read_is_a_problem_for_a_person_reported_once() -> None:
    world = World()
    control_plane(world, FIRST)
    world.iam.have(Trouble.ACCESS_DENIED, "read")
    async with observed(world) as logged:
        await asyncio.sleep(2 * INTERVAL)
    problems = [line for line in logged if line["event"] == "would_need_a_person"]
    assert [line["role_arn"] for line in problems] == [role().value]
    assert sample("mxp_identity_observed_problems") == 1


@in_virtual_time
async def test_aws_that_does_not_answer_is_logged_and_read_again() -> None:
    world = World()
    control_plane(world, FIRST)
    world.iam.have(Trouble.REFUSED)
    async with observed(world) as logged:
        assert [line["event"] for line in logged if line["event"] == "not_observed"] == ["not_observed"]
        world.iam.recover()
        await asyncio.sleep(2 * INTERVAL)
        assert subjects_in(logged, "would_trust") == [FIRST.namespace]
