"""A plan carried out over a simulated cluster and IAM: what was planned is done, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.apply.operators import Operator, quiet
from tests.support.locks import InProcessLock, MemoryLeases
from tests.support.pods import CLUSTER
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import ELSEWHERE, ISSUER, SERVICE_ACCOUNT, external_document, own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, labelled
from webhook.cli.apply.engine import Applier, add_and_repair, applier_over
from webhook.cli.apply.retirement import GoneCluster, retire_issuer, retire_role
from webhook.cli.apply.retiring import retire
from webhook.cli.output import Done
from webhook.controller.cluster_cache import ClusterCache
from webhook.controller.desired_state import DesiredState
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.iam.statement import OwnStatement, PodStatement
from webhook.iam.trust_policy import TrustPolicy, canonical_policy
from webhook.model.bindings import Mode
from webhook.model.outcomes import Trusted
from webhook.model.selectors import NamePattern
from webhook.planning.account import read_roles
from webhook.planning.plan import Plan, make_plan
from webhook.planning.snapshot import AccountSnapshot, Installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.model.names import RoleArn


class Person(Operator):
    """A person that plans and applies in a cluster of control planes."""

    def __init__(self, *roles: RoleArn, iam: SimulatedIam | None = None) -> None:
        super().__init__()
        self.roles = roles or (role(),)
        self.iam, self.leases = iam or SimulatedIam(), MemoryLeases()
        self.binding = labelled(*self.roles)
        self.installation = Installation("mxp-identity", ISSUER, (self.binding,), GRACE)
        for one in self.roles:
            self.iam.store(one, external_document(one))

    def add(self, number: int, annotation: str | None = None) -> None:
        """A control plane that is there from before."""
        account = subject(number)
        self.cluster.add_namespace(account.namespace)
        self.cluster.add_account(account, annotation)

    async def plan(self) -> Plan:
        """Look and plan."""
        return make_plan(self.installation, await self.snapshot(), await self._account())

    async def _account(self) -> AccountSnapshot:
        return await read_roles(self.iam.client("plan"), self.roles, quiet)

    @asynccontextmanager
    async def applier(self, caller: str = "apply") -> AsyncIterator[Applier]:
        """What `apply` works with; a replica of the running program has the same parts."""
        accounts = self.cluster.accounts
        cache = ClusterCache((self.binding,), self.cluster.namespaces, accounts, now, GRACE)
        policies = self.iam.client(caller)
        engine = build_engine(
            self.roles,
            self.installation.own_in,
            lambda _: policies,
            LeaseLock(self.leases, caller),
            partial(DesiredState, cache),
        )
        async with applier_over(engine, self.cluster, policies, cache, Done()) as applier:
            yield applier

    def trusted(self, one: RoleArn) -> set[int]:
        """The numbers of the subjects that our statement in a role trusts."""
        trusted = TrustPolicy(self.iam.document(one)).subjects(self.installation.own_in(one))
        return {int(subject.namespace.split("-")[1]) for subject in trusted}


@in_virtual_time
async def test_hundreds_from_before_are_spread_over_the_pool_in_a_few_writes() -> None:
    person = Person(*pool(6), iam=SimulatedIam(limit=8192))
    for number in range(300):
        person.add(number)
    plan = await person.plan()
    applier = await person.apply(plan)
    assert applier.done.failed == []
    homes = [person.trusted(one) for one in person.roles]
    assert sum(map(len, homes)) == 300
    assert set().union(*homes) == set(range(300))
    for one in person.roles:
        assert len(person.iam.made("write", one)) <= 3
        planned = {item.subject for change in plan.roles if change.role == one for item in change.added}
        assert len(planned) == len(person.trusted(one)), "each where the plan said"
    assert not (await person.plan()).has_changes


@pytest.mark.parametrize(("annotation", "failed"), [(role().value, 0), ("arn:aws:iam::123456789012:role/x", 1)])
@in_virtual_time
async def test_a_subject_annotated_meanwhile_with_the_same_role_is_done(annotation: str, failed: int) -> None:
    person = Person()
    person.add(1)
    plan = await person.plan()
    async with person.applier() as applier:
        shown = person.cluster.accounts[SERVICE_ACCOUNT].objects
        shown[subject(1).namespace] = replace(shown[subject(1).namespace], role_annotation=annotation)
        await add_and_repair(applier, plan, quiet)
    assert len(applier.done.failed) == failed


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.REFUSED, Trouble.ANSWER_LOST, Trouble.HANGS])
@in_virtual_time
async def test_calls_that_fail_for_a_while_are_tried_until_it_is_done(trouble: Trouble) -> None:
    person = Person()
    person.add(1)
    plan = await person.plan()
    person.iam.have(trouble, "write", times=3)
    applier = await person.apply(plan)
    assert applier.done.failed == []
    assert person.trusted(role()) == {1}


@in_virtual_time
async def test_done_means_that_iam_shows_it_even_where_reads_lag() -> None:
    person = Person(iam=SimulatedIam(stale=5.0))
    person.add(1)
    plan = await person.plan()
    began = now()
    applier = await person.apply(plan)
    assert applier.done.written[0].endswith("1 added")
    assert TrustPolicy(person.iam.seen(role())).subjects(own_in(role())) == {subject(1)}
    assert now() - began >= 5


@in_virtual_time
async def test_a_role_deleted_since_the_plan_is_reported_and_the_others_are_done() -> None:
    first, second = role("one"), role("two")
    person = Person(first, second)
    person.add(1, first.value)
    person.add(2, second.value)
    plan = await person.plan()
    person.iam.delete(first)
    applier = await person.apply(plan)
    assert person.trusted(second) == {2}
    assert [reason for reason in applier.done.failed if "NoSuchEntity" in reason]


@in_virtual_time
async def test_our_statement_changed_by_hand_is_repaired() -> None:
    person = Person()
    person.add(1, role().value)
    await person.apply(await person.plan())
    whole = person.iam.document(role())

    def loosen(document: dict[str, Any]) -> None:
        (ours,) = [one for one in document["Statement"] if one.get("Sid") == own_in(role()).sid]
        ours["Condition"] = {"StringLike": {own_in(role()).subject_key: "*"}}

    person.iam.edit(role(), loosen)
    plan = await person.plan()
    assert [change.is_repaired for change in plan.roles] == [True]
    applier = await person.apply(plan)
    assert applier.done.failed == []
    assert TrustPolicy(person.iam.document(role())).same_meaning(TrustPolicy(whole))


@in_virtual_time
async def test_removals_wait_for_approval_and_whoever_is_wanted_again_stays() -> None:
    person = Person()
    for number in range(4):
        person.add(number, role().value)
    await person.apply(await person.plan())
    for number in (1, 2):
        person.cluster.remove_namespace(subject(number))
    plan = await person.plan()
    assert plan.removals == 2
    await person.apply(plan)
    assert person.trusted(role()) == {0, 1, 2, 3}

    person.add(2, role().value)
    applier = await person.apply(plan, approve=True)
    assert person.trusted(role()) == {0, 2, 3}
    assert applier.done.failed == [
        f"{subject(2).namespace}/{SERVICE_ACCOUNT}: not removed, because it is wanted now"
    ]


@pytest.mark.parametrize("stale", [0.0, 20.0])
@in_virtual_time
async def test_a_replica_that_wrote_a_subject_a_moment_ago_does_not_bring_it_back_after_its_removal(
    stale: float,
) -> None:
    """By its memory where reads are fresh, by an old read where they are not."""
    person = Person(iam=SimulatedIam(stale=stale))
    for number in (1, 2):
        person.add(number)
    async with person.applier("replica") as replica:

        async def trust(number: int) -> None:
            (grant,) = replica.cache.grants_in(subject(number).namespace)
            assert isinstance(await replica.engine.grants.obtain(grant, 3), Trusted)

        await trust(1)
        await trust(2)
        person.cluster.remove_namespace(subject(1))
        await asyncio.sleep(stale + 1)
        applier = await person.apply(await person.plan(), approve=True)
        assert applier.done.failed == []
        person.add(3)
        await asyncio.sleep(0.1)
        await trust(3)
        assert person.trusted(role()) == {2, 3}
        replica.engine.grants.enqueue()
        await asyncio.sleep(180)
    assert person.trusted(role()) == {2, 3}
    assert person.iam.puts[-1].call.caller == "replica"


@in_virtual_time
async def test_approved_removals_in_ten_roles_are_all_done() -> None:
    """One of four from each role: more than a fifth of all, which a running program refuses."""
    person = Person(*pool(10))
    for number in range(60):
        person.add(number)
    await person.apply(await person.plan())
    homes = {one: person.trusted(one) for one in person.roles}
    leaving = {one: set(sorted(those)[: (len(those) + 3) // 4]) for one, those in homes.items()}
    gone = set().union(*leaving.values())
    assert len(gone) > 60 / 5
    others = [_external(person, one) for one in person.roles]
    for number in gone:
        person.cluster.remove_namespace(subject(number))
    person.iam.calls.clear()

    applier = await person.apply(await person.plan(), approve=True)
    assert applier.done.failed == []
    assert sorted(applier.done.written) == sorted(f"{one}: {len(those)} removed" for one, those in leaving.items())
    assert {one: person.trusted(one) for one in person.roles} == {
        one: those - leaving[one] for one, those in homes.items()
    }
    assert [len(person.iam.made("write", one)) for one in person.roles] == [1] * 10
    assert [_external(person, one) for one in person.roles] == others


@in_virtual_time
async def test_whoever_cannot_be_looked_up_stays() -> None:
    person = Person()
    person.add(1, role().value)
    await person.apply(await person.plan())
    person.cluster.remove_namespace(subject(1))
    plan = await person.plan()
    person.cluster.failing_reads = float("inf")
    applier = await person.apply(plan, approve=True)
    assert person.trusted(role()) == {1}
    assert "could not be looked up" in applier.done.failed[0]


@in_virtual_time
async def test_a_retired_cluster_is_removed_by_one_write_that_keeps_everything_else() -> None:
    person = Person()
    person.add(1, role().value)
    await person.apply(await person.plan())
    before = person.iam.document(role())
    gone = OwnStatement.for_role(role(), ELSEWHERE, "elsewhere")
    person.iam.edit(role(), lambda document: document["Statement"].append(gone.render([subject(7), subject(8)])))
    account = await read_roles(person.iam.client("plan"), person.roles, quiet)
    plan = retire_issuer(GoneCluster(ELSEWHERE, "elsewhere"), person.installation, account)
    person.iam.have(Trouble.THROTTLED, "write", times=2)
    done, (told,) = Done(), person.leases.leases.values()
    await retire(plan, person.iam.client("apply"), LeaseLock(person.leases, "retire"), quiet, done)
    (lease,) = person.leases.leases.values()
    assert (lease.written, lease.removed) == (told.written, {}), "this cluster's statement keeps its subject"
    assert set(told.written) == {subject(1)}
    assert (done.failed, len(done.written)) == ([], 1)
    assert TrustPolicy(person.iam.document(role())).same_meaning(TrustPolicy(before))


@pytest.mark.parametrize("names_subjects", [True, False])
@in_virtual_time
async def test_a_role_that_is_no_longer_bound_loses_its_statement_for_pods_in_the_same_write(
    *, names_subjects: bool
) -> None:
    iam, leases, one = SimulatedIam(), MemoryLeases(), role("unbound")
    binding = replace(labelled(), mode=Mode.POD_IDENTITY)
    installation = Installation("mxp-identity", ISSUER, (binding,), GRACE, CLUSTER)
    pods = PodStatement("mxp-identity", binding.name, CLUSTER, SERVICE_ACCOUNT, NamePattern("mxp-*-system"))
    before = external_document(one)
    ours = [pods.render(), *([own_in(one).render([subject(1)])] if names_subjects else [])]
    iam.store(one, {**before, "Statement": [*before["Statement"], *ours]})
    account = await read_roles(iam.client("plan"), {one}, quiet)
    done = Done()
    plan = retire_role(one, installation, account)
    await retire(plan, iam.client("apply"), LeaseLock(leases, "retire"), quiet, done)
    assert (done.failed, len(done.written)) == ([], len(ours))
    assert len(iam.made("write")) == 1
    assert TrustPolicy(iam.document(one)).same_meaning(TrustPolicy(before))


@in_virtual_time
async def test_a_cluster_that_cannot_be_retired_is_reported_with_the_error() -> None:
    person = Person()
    gone = OwnStatement.for_role(role(), ELSEWHERE, "elsewhere")
    person.iam.edit(role(), lambda document: document["Statement"].append(gone.render([subject(7)])))
    account = await read_roles(person.iam.client("plan"), person.roles, quiet)
    plan = retire_issuer(GoneCluster(ELSEWHERE, "elsewhere"), person.installation, account)
    person.iam.have(Trouble.UNEXPECTED, "write")
    done = Done()
    await retire(plan, person.iam.client("apply"), InProcessLock(), quiet, done)
    assert done.written == []
    assert "not AWS's answer" in done.failed[0]


@settings(max_examples=40, deadline=None)  # virtual hours take real tenths of a second
@given(
    st.sets(st.integers(0, 30), max_size=12),
    st.sets(st.integers(0, 30), max_size=12),
    st.sampled_from([1, 3]),
    st.sampled_from([900, 2048]),
    st.sampled_from([0.0, 2.0]),
)
@in_virtual_time
async def test_a_plan_applied_often_enough_ends_with_nothing_to_do(
    first: set[int], second: set[int], roles: int, limit: int, stale: float
) -> None:
    """Control planes come and go between two rounds; those that have no room are problems, not changes."""
    person = Person(*pool(roles), iam=SimulatedIam(limit=limit, stale=stale))
    others = [_external(person, one) for one in person.roles]
    for number in first:
        person.add(number)
    await person.apply(await person.plan())
    await asyncio.sleep(70)
    for number in first - second:
        person.cluster.remove_namespace(subject(number))
    for number in second - first:
        person.add(number)
    for _ in range(3):
        await person.apply(await person.plan(), approve=True)
        await asyncio.sleep(70)
    plan = await person.plan()
    assert not plan.has_changes
    homes = [person.trusted(one) for one in person.roles]
    trusted = set().union(*homes)
    assert sum(map(len, homes)) == len(trusted), "in one role at most"
    assert trusted <= second
    assert len(second - trusted) == len([one for one in plan.problems if one.subject])
    assert [_external(person, one) for one in person.roles] == others


def _external(person: Person, one: RoleArn) -> Any:
    own = person.installation.own_in(one)
    return canonical_policy(TrustPolicy(person.iam.document(one)).with_subjects(own, ()).document)
