"""An adoption over a simulated cluster and IAM, beside a running program: none is ever without access."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hand_written import guided, wildcard
from tests.support.locks import MemoryLeases
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import ISSUER, SERVICE_ACCOUNT, own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, World, labelled
from webhook.cli.adopt.adopting import adopt_in, adopting_engine
from webhook.cli.adopt.planning import Adoption, Asked, plan_adoption
from webhook.cli.apply.engine import applier_over
from webhook.cli.output import Done
from webhook.controller.cluster_cache import ClusterCache
from webhook.coordination.lock import LeaseLock
from webhook.iam.evaluation import as_list
from webhook.iam.external import ExternalStatements
from webhook.iam.trust_policy import TrustPolicy, canonical
from webhook.model.aws_errors import AwsError
from webhook.model.outcomes import Trusted
from webhook.planning.account import read_roles
from webhook.planning.snapshot import ClusterSnapshot, Installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from tests.support.simulated_iam import Document
    from webhook.model.names import RoleArn, Subject

OWN = own_in(role())
PATTERN = "system:serviceaccount:mxp-*-system:mxp-controller"
STALE = 10.0
HAND_MADE = range(4)


class Person:
    """A person that adopts what the guide had made by hand, in a cluster with a replica of the program."""

    def __init__(self, *roles: RoleArn, iam: SimulatedIam | None = None) -> None:
        self.leases = MemoryLeases()
        self.world = World(
            labelled(*roles), iam=iam or SimulatedIam(limit=8192), lock=LeaseLock(self.leases, "replica")
        )
        self.iam, self.cluster, self.roles = self.world.iam, self.world.cluster, self.world.roles
        self.installation = Installation("mxp-identity", ISSUER, self.world.bindings, GRACE)

    def add(self, number: int, annotated: RoleArn | None) -> Subject:
        """A control plane that is there from before."""
        account = subject(number)
        self.cluster.add_namespace(account.namespace)
        self.cluster.add_account(account, annotated.value if annotated else None)
        return account

    def write(self, one: RoleArn, *statements: dict[str, Any]) -> None:
        """Have statements in a role, as the guide has people append them."""
        self.iam.edit(one, lambda document: document["Statement"].extend(statements))

    async def plan(self, *, replace_wildcards: bool = False) -> Adoption:
        """Look and plan."""
        namespaces, _ = await self.cluster.namespaces.list()
        found, _ = await self.cluster.accounts[SERVICE_ACCOUNT].list()
        accounts = {(one.namespace, one.name): one for one in found.values()}
        account = await read_roles(self.iam.client("plan"), self.roles, lambda _: None)
        return plan_adoption(
            self.installation,
            ClusterSnapshot(namespaces, accounts, now()),
            account,
            {subject_of(one): one.role_annotation for one in found.values()},
            Asked(replace_wildcards=replace_wildcards),
        )

    async def plan_at_last(self, *, replace_wildcards: bool) -> Adoption:
        """The same, as often as it takes until IAM answers."""
        while True:
            try:
                return await self.plan(replace_wildcards=replace_wildcards)
            except AwsError:
                await asyncio.sleep(1)

    @asynccontextmanager
    async def adopting(self, plan: Adoption, done: Done) -> AsyncIterator[Any]:
        """What carries out a plan."""
        cache = ClusterCache(self.world.bindings, self.cluster.namespaces, self.cluster.accounts, now, GRACE)
        changed = [one for one in plan.roles if one.has_changes]
        engine = adopting_engine(cache, self.iam.client("adopt"), LeaseLock(self.leases, "adopt"), changed)
        async with applier_over(engine, self.cluster, self.iam.client("look"), cache, done) as applier:
            yield applier

    async def carry_out(self, plan: Adoption) -> Done:
        """Carry it out; answers what was done and what was not."""
        done = Done()
        async with self.adopting(plan, done) as applier:
            await asyncio.gather(*(adopt_in(applier, one) for one in plan.roles if one.has_changes))
        return done

    def allowed(self, document: Document, account: Subject) -> bool:
        """Whether a document allows it the role, by the managed statement or another."""
        policy = TrustPolicy(document)
        return account in policy.effective_subjects(OWN) or bool(
            ExternalStatements(policy, OWN).effects_on(account).grant
        )


def subject_of(account: Any) -> Subject:
    return replace(subject(0), namespace=account.namespace, service_account=account.name)


def others_in(document: Document) -> frozenset[Hashable]:
    """The statements that are neither ours nor about the cluster's ServiceAccounts."""
    return frozenset(
        canonical(one)
        for one in as_list(document["Statement"])
        if one.get("Sid") != OWN.sid and one["Principal"] != {"Federated": OWN.provider_arn}
    )


@pytest.mark.parametrize("stale", [0.0, STALE])
@in_virtual_time
async def test_beside_a_program_at_work_no_document_lacks_a_service_account_and_all_else_stays(
    stale: float,
) -> None:
    person = Person()
    by_hand = [person.add(number, role()) for number in HAND_MADE]
    person.write(role(), *(guided(OWN, one) for one in by_hand))
    first = len(person.iam.history(role())) - 1
    async with person.world.running():
        await asyncio.sleep(STALE)
        person.iam.stale = stale
        plan = await person.plan()
        granted: list[Subject] = []

        async def create_more() -> None:
            for number in range(10, 25):
                account = person.add(number, None)
                grant = person.world.cache.grant(account)
                while grant is None:
                    await asyncio.sleep(0.05)
                    grant = person.world.cache.grant(account)
                assert isinstance(await person.world.grants.obtain(grant, 30), Trusted)
                granted.append(account)
                await asyncio.sleep(0.4)

        creating = asyncio.create_task(create_more())
        await asyncio.sleep(1)
        done = await person.carry_out(plan)
        await creating
        await asyncio.sleep(300)
    assert done.failed == []
    document = person.iam.document(role())
    assert TrustPolicy(document).effective_subjects(OWN) == {*by_hand, *granted}
    assert not (await person.plan()).roles
    documents = person.iam.history(role())[first:]
    assert all(person.allowed(one, account) for one in documents for account in by_hand)
    assert {others_in(one) for one in documents} == {others_in(document)}


@pytest.mark.parametrize("seed", range(25))
@in_virtual_time
async def test_whatever_goes_wrong_no_document_lacks_a_service_account_that_was_trusted_by_hand(seed: int) -> None:
    """Calls fail or get no answer, reads are old, control planes come and go, and people press Ctrl-C."""
    chance = random.Random(seed)
    person = Person(iam=SimulatedIam(limit=8192))
    by_hand = [person.add(number, role()) for number in range(8)]
    pattern = "system:serviceaccount:mxp-*:*" if seed % 2 else "system:serviceaccount:mxp-000001*:*"
    person.write(role(), *(guided(OWN, one) for one in by_hand), wildcard(OWN, pattern))
    first = len(person.iam.history(role())) - 1
    async with person.world.running():
        await asyncio.sleep(STALE)
        person.iam.stale = chance.choice([0.0, 2.0, STALE, 30.0])
        for number in range(6):
            trouble = chance.choice(list(Trouble))
            person.iam.have(trouble, chance.choice(["read", "write"]), times=chance.randint(1, 3))
            plan = await person.plan_at_last(replace_wildcards=chance.random() < 0.5)
            work = asyncio.create_task(person.carry_out(plan))
            account = person.add(100 + number, chance.choice([None, role()]))
            await asyncio.sleep(chance.uniform(0, 8))
            if chance.random() < 0.5:
                person.cluster.remove_namespace(account)
            if chance.random() < 0.5:
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        person.iam.recover()
        person.iam.stale = 0.0
        await asyncio.sleep(120)
        done = await person.carry_out(await person.plan(replace_wildcards=True))
        await asyncio.sleep(120)
    assert done.failed == []
    assert not (await person.plan(replace_wildcards=True)).has_changes
    document = person.iam.document(role())
    assert TrustPolicy(document).effective_subjects(OWN) >= set(by_hand)
    documents = person.iam.history(role())[first:]
    assert all(person.allowed(one, account) for one in documents for account in by_hand)
    assert {others_in(one) for one in documents} == {others_in(document)}


@in_virtual_time
async def test_interrupted_after_each_write_in_turn_the_next_run_continues() -> None:
    roles = pool(4)
    person = Person(*roles)
    by_role = {one: person.add(number, one) for number, one in enumerate(roles)}
    for one, account in by_role.items():
        person.write(one, guided(own_in(one), account))
    for written in range(1, len(roles) + 1):
        plan, done = await person.plan(), Done()
        changed = [one for one in plan.roles if one.has_changes]
        assert len(changed) == len(roles) - written + 1
        async with person.adopting(plan, done) as applier:
            await adopt_in(applier, changed[0])
    assert not (await person.plan()).has_changes
    for one, account in by_role.items():
        assert len(person.iam.made("write", one)) == 1
        assert TrustPolicy(person.iam.document(one)).subjects(own_in(one)) == {account}


@pytest.mark.parametrize(
    "trouble", [Trouble.ANSWER_LOST, Trouble.FAILS_AFTERWARDS, Trouble.HANGS, Trouble.REFUSED]
)
@in_virtual_time
async def test_a_write_whose_answer_is_lost_or_fails_is_done_once_or_again(trouble: Trouble) -> None:
    person = Person()
    account = person.add(1, role())
    person.write(role(), guided(OWN, account))
    person.iam.have(trouble, "write", times=1)
    done = await person.carry_out(await person.plan())
    assert (len(done.written), done.failed) == (1, [])
    assert not (await person.plan()).has_changes


@in_virtual_time
async def test_what_became_unwanted_since_the_plan_is_left_as_it_is() -> None:
    person = Person()
    account = person.add(1, role())
    person.write(role(), guided(OWN, account))
    plan = await person.plan()
    person.cluster.remove_namespace(account)
    before = person.iam.document(role())
    done = await person.carry_out(plan)
    assert person.iam.document(role()) == before
    assert done.written == []
    reason = f"{account.namespace}/{SERVICE_ACCOUNT} is no longer wanted in it: run the command again"
    assert done.failed == [f"{role()}: not written: {reason}"]
    (left,) = (await person.plan()).roles[0].left
    assert left.why == f"{account.namespace}/{SERVICE_ACCOUNT}: its namespace is gone"


@in_virtual_time
async def test_a_statement_that_is_edited_since_the_plan_is_left_as_it_is() -> None:
    person = Person()
    one, two = person.add(1, role()), person.add(2, role())
    person.write(role(), guided(OWN, one), guided(OWN, two))
    plan = await person.plan()
    edited = {**guided(OWN, two), "Sid": "EditedMeanwhile"}
    person.iam.edit(role(), lambda document: document["Statement"].__setitem__(-1, edited))
    await person.carry_out(plan)
    policy = TrustPolicy(person.iam.document(role()))
    assert policy.subjects(OWN) == {one}
    assert edited in policy.statements


@in_virtual_time
async def test_a_wildcard_is_replaced_by_all_that_are_there_when_it_is_written() -> None:
    person = Person(iam=SimulatedIam(limit=2048))
    by_hand = [person.add(number, role()) for number in HAND_MADE]
    person.write(role(), wildcard(OWN, PATTERN))
    assert not (await person.plan()).has_changes
    plan = await person.plan(replace_wildcards=True)
    late = person.add(9, role())
    done = await person.carry_out(plan)
    assert done.failed == []
    assert TrustPolicy(person.iam.document(role())).subjects(OWN) == {*by_hand, late}
    assert len(person.iam.made("write")) == 1, "added and replaced at one moment"
    assert all(person.allowed(one, account) for one in person.iam.history(role())[1:] for account in by_hand)


@in_virtual_time
async def test_a_wildcard_stays_where_a_late_service_account_has_no_room() -> None:
    person = Person(iam=SimulatedIam(limit=2048))
    for number in range(15):
        person.add(number, role())
    person.iam.edit(role(), lambda document: document.__setitem__("Statement", [wildcard(OWN, PATTERN)]))
    plan = await person.plan(replace_wildcards=True)
    assert plan.has_changes
    before = person.iam.document(role())
    for number in range(15, 25):
        person.add(number, role())
    done = await person.carry_out(plan)
    assert person.iam.document(role()) == before
    (reason,) = done.failed
    assert "would lose its access, because there is no room for it" in reason
    (left,) = (await person.plan(replace_wildcards=True)).roles[0].left
    assert "of the 25 ServiceAccounts that need it have no room" in left.why


@in_virtual_time
async def test_what_a_replica_has_just_removed_does_not_come_back() -> None:
    person = Person()
    by_hand, gone = person.add(1, role()), subject(2)
    person.iam.edit(role(), lambda document: document["Statement"].append(OWN.render([gone])))
    person.write(role(), guided(OWN, by_hand))
    person.leases.forge(role(), {}, {gone: 1.0})
    await person.carry_out(await person.plan())
    assert TrustPolicy(person.iam.document(role())).subjects(OWN) == {by_hand}


@in_virtual_time
async def test_it_adds_no_service_account_that_the_plan_does_not_name() -> None:
    person = Person()
    by_hand, missing = person.add(1, role()), person.add(2, role())
    person.write(role(), guided(OWN, by_hand))
    person.leases.forge(role(), {subject(7): 1.0})
    await person.carry_out(await person.plan())
    assert TrustPolicy(person.iam.document(role())).subjects(OWN) == {by_hand}
    assert missing not in TrustPolicy(person.iam.document(role())).subjects(OWN)
