"""Associations of a plan carried out over a simulated cluster, IAM and EKS: what was planned is done, once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.cli.apply.operators import Operator, quiet
from tests.support.locks import InProcessLock
from tests.support.pods import CLUSTER, OWNER, pods_of
from tests.support.simulated_eks import SimulatedEks, Trouble, refusal
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import ISSUER, SERVICE_ACCOUNT, binding, external_document, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE
from webhook.cli.apply.engine import Applier, applier_over
from webhook.cli.output import Done
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.engine.build import build_engine
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import Mode
from webhook.planning.account import read_associations, read_roles
from webhook.planning.plan import Plan, make_plan
from webhook.planning.snapshot import Installation
from webhook.podidentity.associations import Associations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


THEIRS = "arn:aws:iam::123456789012:role/theirs"


class Person(Operator):
    """A person that plans and applies in a cluster of control planes in mode pod-identity."""

    def __init__(self, eks: SimulatedEks | None = None) -> None:
        super().__init__()
        self.role = role()
        self.iam, self.eks = SimulatedIam(), eks or SimulatedEks()
        self.iam.store(self.role, external_document(self.role))
        self.binding = binding(self.role, mode=Mode.POD_IDENTITY)
        self.installation = Installation("mxp-identity", ISSUER, (self.binding,), GRACE, CLUSTER)

    def add(self, *numbers: int) -> None:
        """Control planes that are there from before."""
        for number in numbers:
            self.cluster.add_namespace(subject(number).namespace)
            self.cluster.add_account(subject(number), None)

    async def plan(self) -> Plan:
        """Look and plan."""
        account = await read_roles(self.iam.client("plan"), [self.role], quiet)
        seen = await read_associations(self.eks, quiet)
        return make_plan(self.installation, await self.snapshot(), replace(account, associations=seen))

    @asynccontextmanager
    async def applier(self) -> AsyncIterator[Applier]:
        """What `apply` works with."""
        cache = ClusterCache((self.binding,), self.cluster.namespaces, self.cluster.accounts, now, GRACE)
        policies, own = self.iam.client("apply"), self.installation.own_in(self.role)
        engine = build_engine(
            [self.role],
            lambda _: own,
            lambda _: policies,
            InProcessLock(),
            partial(DesiredState, cache),
            partial(Associations, self.eks, OWNER),
        )
        async with applier_over(engine, self.cluster, policies, cache, Done()) as applier:
            yield applier

    @property
    def associated(self) -> set[int]:
        """The numbers of those that EKS gives the role."""
        return {_number(subject.namespace) for subject, one in self.eks.now.items() if one.gives(self.role)}


def _number(namespace: str) -> int:
    return int(namespace.split("-")[1])


@in_virtual_time
async def test_a_thousand_from_before_are_associated_once_with_one_write_of_the_trust() -> None:
    person = Person()
    person.add(*range(1000))
    applier = await person.apply(await person.plan())
    assert applier.done.failed == []
    assert person.associated == set(range(1000))
    assert person.eks.calls["create"] == 1000
    assert person.eks.most_at_once <= 8
    assert len(person.iam.made("write", person.role)) == 1
    assert TrustPolicy(person.iam.document(person.role)).has_whole(pods_of(person.binding))
    assert "associations created or repaired: 1000" in applier.done.written
    assert not (await person.plan()).has_changes


@in_virtual_time
async def test_a_managed_association_that_was_changed_is_repaired_and_external_ones_are_kept() -> None:
    person = Person()
    person.add(1, 2, 3)
    ours = person.eks.put(subject(1), THEIRS, tags=OWNER.tags())
    theirs = person.eks.put(subject(2), THEIRS)
    right = person.eks.put(subject(3), person.role.value)
    plan = await person.plan()
    assert [len(plan.associations.made), len(plan.associations.repaired), len(plan.problems)] == [0, 1, 1]
    applier = await person.apply(plan)
    assert applier.done.failed == []
    assert (person.eks.now[subject(1)].id, person.associated) == (ours.id, {1, 3})
    assert (person.eks.now[subject(2)], person.eks.now[subject(3)]) == (theirs, right)


@in_virtual_time
async def test_what_nothing_wants_is_deleted_only_with_approval_and_only_where_it_is_ours() -> None:
    person = Person()
    person.add(1)
    await person.apply(await person.plan())
    ours = person.eks.put(subject(2), person.role.value, tags=OWNER.tags())
    theirs = person.eks.put(subject(3), person.role.value)
    plan = await person.plan()
    assert [item.found for item in plan.associations.removed] == [ours]
    await person.apply(plan)
    assert person.eks.now[subject(2)] == ours
    applier = await person.apply(plan, approve=True)
    assert applier.done.written == [f"{subject(2).namespace}/{SERVICE_ACCOUNT}: association {ours.id} deleted"]
    assert subject(2) not in person.eks.now
    assert person.eks.now[subject(3)] == theirs
    assert person.associated == {1, 3}


@in_virtual_time
async def test_an_association_deleted_while_the_others_are_described_is_treated_as_gone() -> None:
    eks = SimulatedEks(late=5.0)
    for number in range(3):
        eks.put(subject(number), role().value, tags=OWNER.tags())
    await asyncio.sleep(6)
    eks.drop(subject(0))
    await asyncio.sleep(4.9)  # the list still has it, and the descriptions, later, do not
    seen = await read_associations(eks, quiet)
    assert (sorted(seen.described), seen.there) == ([subject(1), subject(2)], 3)
    assert sorted((await read_associations(eks, quiet, [subject(2)])).described) == [subject(2)]


@in_virtual_time
async def test_a_subject_wanted_again_since_the_plan_keeps_its_association() -> None:
    person = Person()
    person.eks.put(subject(1), person.role.value, tags=OWNER.tags())
    plan = await person.plan()
    person.add(1)
    applier = await person.apply(plan, approve=True)
    assert "is kept, because it is wanted now" in applier.done.failed[0]
    assert person.associated == {1}


@in_virtual_time
async def test_calls_that_fail_for_a_while_are_tried_again_and_one_that_never_works_is_named() -> None:
    person = Person()
    person.add(1, 2)
    plan = await person.plan()
    person.eks.have(Trouble(refusal(FailureKind.THROTTLED), "create", 3))
    applier = await person.apply(plan)
    assert (applier.done.failed, person.associated) == ([], {1, 2})

    person.add(3)
    plan = await person.plan()
    person.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED, "no such right"), "create", 1000))
    applier = await person.apply(plan)
    assert applier.done.failed == [f"{subject(3).namespace}/{SERVICE_ACCOUNT}: no such right"]


@in_virtual_time
async def test_a_statement_for_pods_that_was_removed_externally_is_written_though_all_are_associated() -> None:
    person = Person()
    person.add(1)
    await person.apply(await person.plan())
    person.iam.store(person.role, external_document(person.role))
    plan = await person.plan()
    assert [[one.binding for one in change.pods] for change in plan.roles] == [[person.binding.name]]
    applier = await person.apply(plan)
    assert applier.done.failed == []
    assert TrustPolicy(person.iam.document(person.role)).has_whole(pods_of(person.binding))
