"""Mode pod-identity as an API server sees it: an association, no annotation, and never longer than the budget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.pods import OWNER
from tests.support.reviews import annotated, review, reviewing
from tests.support.simulated_eks import Trouble, refusal
from tests.support.sites import binding, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, INTERVAL, World
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import Mode

if TYPE_CHECKING:
    from webhook.model.names import Subject

ROLE = role()
SUBJECT = subject(1)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"


def _world(*, refuses: bool = False, namespace: Subject = SUBJECT) -> World:
    world = World(binding(ROLE, mode=Mode.POD_IDENTITY), refuses=refuses)
    world.cluster.add_namespace(namespace.namespace)
    return world


@in_virtual_time
async def test_a_service_account_is_associated_and_not_annotated() -> None:
    world = _world()
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert reply.response["allowed"]
    assert (reply.patch, reply.warnings) == ([], [])
    assert reply.response["auditAnnotations"] == {"binding": "backup", "role": ROLE.value, "trust": "written"}
    assert (world.eks.now[SUBJECT].role, dict(world.eks.now[SUBJECT].tags)) == (ROLE.value, OWNER.tags())


@in_virtual_time
async def test_once_its_namespace_is_shown_nothing_is_left_to_do() -> None:
    world = _world()
    async with world.running(), reviewing(world) as reviewer:
        await asyncio.sleep(5)
        assert world.eks.now[SUBJECT].role == ROLE.value
        calls, began = world.eks.calls.copy(), now()
        reply = await reviewer.send(review(SUBJECT))
        assert reply.response["auditAnnotations"]["trust"] == "already"
        assert (world.eks.calls, now()) == (calls, began)


@in_virtual_time
async def test_while_eks_says_no_the_answer_comes_in_time_and_the_work_goes_on() -> None:
    world = _world()
    world.eks.have(Trouble(refusal(FailureKind.THROTTLED, "Rate exceeded"), times=8))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
        assert now() <= BUDGET + 0.1
        assert reply.response["allowed"]
        assert reply.patch == []
        first, second = reply.warnings
        assert f"not associated with {ROLE} yet" in first
        assert "need a restart" in first
        assert second == "mxp-identity: reason: Rate exceeded"
        mirror = asyncio.create_task(world.cache.run())  # what is retried for long needs the watch
        await asyncio.sleep(120)
        mirror.cancel()
    assert SUBJECT in world.eks.now


@in_virtual_time
async def test_a_service_account_that_must_be_associated_first_is_denied_until_it_is() -> None:
    world = _world(refuses=True)
    world.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED, "may not"), "create"))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
        assert (reply.response["allowed"], reply.response["status"]["code"]) == (False, 503)
        assert "is not associated" in reply.response["status"]["message"]
        await asyncio.sleep(10)
        assert (await reviewer.send(review(SUBJECT))).response["allowed"]


@in_virtual_time
async def test_a_dry_run_makes_nothing() -> None:
    world = _world()
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, dryRun=True))
        await asyncio.sleep(10)
    assert reply.response["allowed"]
    assert world.eks.calls == {}
    assert world.iam.puts == []


@pytest.mark.parametrize(("there", "associated"), [(ROLE.value, True), (EXTERNAL_ROLE, False)])
def test_a_service_account_that_names_another_role_stays_unmanaged(there: str, associated: bool) -> None:  # noqa: FBT001
    @in_virtual_time
    async def _() -> None:
        world = _world()
        async with reviewing(world) as reviewer:
            reply = await reviewer.send(review(SUBJECT, annotations=annotated(there)))
        assert reply.response["allowed"]
        assert reply.patch == []
        assert (SUBJECT in world.eks.now) is associated

    _()


@in_virtual_time
async def test_a_service_account_from_before_is_associated_and_not_annotated_either() -> None:
    world = _world()
    world.cluster.add_account(SUBJECT)
    async with world.running():
        await asyncio.sleep(2 * INTERVAL)
    assert world.eks.now[SUBJECT].role == ROLE.value
    account = world.cache.account(SUBJECT)
    assert account is not None
    assert account.role_annotation is None
