"""A role annotation that is there already, by the binding's existingAnnotation."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.reviews import annotated, review, reviewing
from tests.support.simulated_cluster import LABEL
from tests.support.sites import own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World, labelled
from webhook.model.bindings import ExistingAnnotation
from webhook.model.decisions import LiveNamespace

if TYPE_CHECKING:
    from webhook.model.names import RoleArn

ROLE = role()
SUBJECT = subject(1)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"
KEEP, OVERRIDE, DENY = ExistingAnnotation.KEEP, ExistingAnnotation.OVERRIDE, ExistingAnnotation.DENY


@dataclass(frozen=True)
class Case:
    policy: ExistingAnnotation
    there: str
    allowed: bool = True
    set_to: str | None = None
    trusted: bool = False
    warned: bool = False


CASES = [
    Case(KEEP, ROLE.value, trusted=True),
    Case(OVERRIDE, ROLE.value, trusted=True),
    Case(DENY, ROLE.value, trusted=True),
    Case(KEEP, EXTERNAL_ROLE, warned=True),
    Case(OVERRIDE, EXTERNAL_ROLE, set_to=ROLE.value, trusted=True),
    Case(DENY, EXTERNAL_ROLE, allowed=False),
    Case(KEEP, "", set_to=ROLE.value, trusted=True),
    Case(DENY, "", set_to=ROLE.value, trusted=True),
    Case(KEEP, "nonsense", warned=True),
    Case(OVERRIDE, "nonsense", set_to=ROLE.value, trusted=True),
]


def _world(*roles: RoleArn, existing: ExistingAnnotation = KEEP) -> World:
    world = World(labelled(*roles, existing=existing))
    world.cluster.add_namespace(SUBJECT.namespace)
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.policy}-{case.there[-12:]}")
@in_virtual_time
async def test_an_annotation_that_is_there_is_treated_as_the_binding_says(case: Case) -> None:
    world = _world(existing=case.policy)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations=annotated(case.there)))
    assert reply.allowed is case.allowed
    assert reply.annotation == case.set_to
    assert world.homes(SUBJECT) == ([ROLE] if case.trusted else [])
    assert bool(reply.warnings) is case.warned
    if not case.allowed:
        assert reply.response["status"]["code"] == 403
        assert EXTERNAL_ROLE in reply.response["status"]["message"]


@in_virtual_time
async def test_a_role_of_the_pool_that_is_annotated_already_is_the_one_that_is_trusted() -> None:
    roles = pool(3)
    world = _world(*roles)
    last = world.bindings[0].roles_in_order(SUBJECT)[2]
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations=annotated(last.value)))
    assert reply.patch == []
    assert world.homes(SUBJECT) == [last]


@in_virtual_time
async def test_a_subject_trusted_in_another_role_of_the_pool_gets_its_annotation_moved() -> None:
    world = _world(*pool(3))
    wrong, home, _ = world.bindings[0].roles_in_order(SUBJECT)
    world.iam.edit(home, lambda document: document["Statement"].append(own_in(home).render([SUBJECT])))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations=annotated(wrong.value)))
    assert reply.annotation == home.value
    assert world.homes(SUBJECT) == [home]


def _being_deleted(role: str, before: str | None) -> dict[str, Any]:
    """An UPDATE of a ServiceAccount that a finalizer keeps, from one role to another."""
    metadata = {"name": SUBJECT.service_account, "namespace": SUBJECT.namespace}
    old = metadata | {"annotations": annotated(before) if before else {}}
    new = metadata | {
        "annotations": annotated(role),
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["example.org/stay"],
    }
    return review(SUBJECT, operation="UPDATE", object={"metadata": new}, oldObject={"metadata": old})


@pytest.mark.parametrize("before", [None, ROLE.value, "arn:aws:iam::123456789012:role/another"])
@in_virtual_time
async def test_a_deny_judges_a_service_account_that_is_being_deleted(before: str | None) -> None:
    world = _world(existing=DENY)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(_being_deleted(EXTERNAL_ROLE, before))
    assert not reply.allowed
    assert reply.response["status"]["code"] == 403


@pytest.mark.parametrize("existing", [KEEP, OVERRIDE, DENY])
@pytest.mark.parametrize("role_named", [ROLE.value, EXTERNAL_ROLE])
@in_virtual_time
async def test_a_service_account_that_is_being_deleted_keeps_its_role_and_is_granted_nothing(
    existing: ExistingAnnotation, role_named: str
) -> None:
    world = _world(existing=existing)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(_being_deleted(role_named, role_named))
    assert (reply.allowed, reply.patch, reply.warnings, world.homes(SUBJECT)) == (True, [], [], [])


@pytest.mark.parametrize("watched", [True, False])
@in_virtual_time
async def test_a_deny_judges_a_change_in_a_namespace_that_is_being_deleted(*, watched: bool) -> None:
    world = World(labelled(ROLE, existing=DENY))
    world.cluster.add_namespace(SUBJECT.namespace, terminating=True)
    async with AsyncExitStack() as stack:
        if watched:
            await stack.enter_async_context(world.running())
        reviewer = await stack.enter_async_context(reviewing(world))
        external = await reviewer.send(_being_deleted(EXTERNAL_ROLE, None))
        own = await reviewer.send(_being_deleted(ROLE.value, None))
    assert not external.allowed
    assert external.response["status"]["code"] == 403
    assert (own.allowed, own.patch, world.homes(SUBJECT)) == (True, [], [])


@in_virtual_time
async def test_a_deny_judges_what_is_being_deleted_in_a_namespace_that_the_watch_does_not_show_yet() -> None:
    world = World(labelled(ROLE, existing=DENY))
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.namespaces.objects[SUBJECT.namespace] = LiveNamespace(
            SUBJECT.namespace, "uid-1", {LABEL: "cp"}
        )
        reply = await reviewer.send(_being_deleted(EXTERNAL_ROLE, None))
    assert not reply.allowed
    assert reply.response["status"]["code"] == 403


@in_virtual_time
async def test_a_deny_judges_what_is_being_deleted_in_a_namespace_that_cannot_be_looked_up() -> None:
    world = World(labelled(ROLE, existing=DENY))
    world.cluster.failing_reads = float("inf")
    async with reviewing(world) as reviewer:
        external = await reviewer.send(_being_deleted(EXTERNAL_ROLE, None))
        unchanged = await reviewer.send(_being_deleted(EXTERNAL_ROLE, EXTERNAL_ROLE))
    assert not external.allowed
    assert external.response["status"]["code"] == 503
    assert unchanged.allowed


ALMOST = [
    f" {ROLE.value}",
    f"{ROLE.value} ",
    f"{ROLE.value}\n",
    ROLE.value.replace(":role/", ":ROLE/"),
    ROLE.value.upper(),
]


@pytest.mark.parametrize("almost", ALMOST)
@pytest.mark.parametrize("dry_run", [True, False])
@in_virtual_time
async def test_a_deny_takes_no_almost_bound_role_for_a_bound_one(almost: str, *, dry_run: bool) -> None:
    world = _world(existing=DENY)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations=annotated(almost), dry_run=dry_run))
    assert not reply.allowed
