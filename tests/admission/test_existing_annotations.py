"""A role annotation that is there already, by the binding's existingAnnotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.reviews import annotated, review, reviewing
from tests.support.sites import own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World, labelled
from webhook.domain.bindings import ExistingAnnotation

if TYPE_CHECKING:
    from webhook.domain.names import RoleArn

ROLE = role()
WHO = subject(1)
FOREIGN_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"
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
    Case(KEEP, FOREIGN_ROLE, warned=True),
    Case(OVERRIDE, FOREIGN_ROLE, set_to=ROLE.value, trusted=True),
    Case(DENY, FOREIGN_ROLE, allowed=False),
    Case(KEEP, "", set_to=ROLE.value, trusted=True),
    Case(DENY, "", set_to=ROLE.value, trusted=True),
    Case(KEEP, "nonsense", warned=True),
    Case(OVERRIDE, "nonsense", set_to=ROLE.value, trusted=True),
]


def _world(*roles: RoleArn, existing: ExistingAnnotation = KEEP) -> World:
    world = World(labelled(*roles, existing=existing))
    world.cluster.add_namespace(WHO.namespace)
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.policy}-{case.there[-12:]}")
@in_virtual_time
async def test_an_annotation_that_is_there_is_treated_as_the_binding_says(case: Case) -> None:
    world = _world(existing=case.policy)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(WHO, annotations=annotated(case.there)))
    assert reply.allowed is case.allowed
    assert reply.annotation == case.set_to
    assert world.homes(WHO) == ([ROLE] if case.trusted else [])
    assert bool(reply.warnings) is case.warned
    if not case.allowed:
        assert reply.response["status"]["code"] == 403
        assert FOREIGN_ROLE in reply.response["status"]["message"]


@in_virtual_time
async def test_a_role_of_the_pool_that_is_annotated_already_is_the_one_that_is_trusted() -> None:
    roles = pool(3)
    world = _world(*roles)
    last = world.bindings[0].roles_in_order(WHO)[2]
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(WHO, annotations=annotated(last.value)))
    assert reply.patch == []
    assert world.homes(WHO) == [last]


@in_virtual_time
async def test_a_subject_trusted_in_another_role_of_the_pool_gets_its_annotation_moved() -> None:
    world = _world(*pool(3))
    wrong, home, _ = world.bindings[0].roles_in_order(WHO)
    world.iam.edit(home, lambda document: document["Statement"].append(own_in(home).render([WHO])))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(WHO, annotations=annotated(wrong.value)))
    assert reply.annotation == home.value
    assert world.homes(WHO) == [home]
