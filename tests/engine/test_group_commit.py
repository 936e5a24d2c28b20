"""What a grant costs: one read and one write for one, hardly more for a hundred, nothing for one that is there."""

from __future__ import annotations

import asyncio

from tests.support.invariants import assert_one_at_a_time, assert_writes_were_careful
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, own_in, pool, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.iam.role_writer import GATHERING
from webhook.model.outcomes import Trusted, TrustSource

ROLE = role()
CROWD = [subject(number) for number in range(100)]
ROOM_FOR_ALL = 131072


@in_virtual_time
async def test_an_idle_role_answers_after_one_read_and_one_write() -> None:
    iam = SimulatedIam(latency=0.15)
    here = site(iam, ROLE)
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert outcome == Trusted(ROLE, TrustSource.WRITTEN)
    assert now() == 0.30
    assert [call.operation for call in iam.calls if call.outcome == "ok"] == ["read", "write"]
    assert here.trusts(ROLE, subject(1))


@in_virtual_time
async def test_after_the_write_one_read_confirms_it_and_then_all_is_quiet() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    await asyncio.sleep(600)
    assert [call.operation for call in iam.calls] == ["read", "write", "read"]


@in_virtual_time
async def test_a_hundred_grants_together_share_one_write() -> None:
    iam = SimulatedIam(limit=ROOM_FOR_ALL)
    here = site(iam, ROLE)
    outcomes = await asyncio.gather(*(here.grants.obtain(here.grant(account), PATIENCE) for account in CROWD))
    assert set(outcomes) == {Trusted(ROLE, TrustSource.WRITTEN)}
    assert len(iam.made("write")) == 1
    assert here.trusted_in(ROLE) == set(CROWD)


@in_virtual_time
async def test_a_hundred_grants_within_one_write_cost_three_writes_at_most() -> None:
    iam = SimulatedIam(latency=0.15, limit=ROOM_FOR_ALL)
    here = site(iam, ROLE)

    async def arrive(number: int) -> None:
        await asyncio.sleep(0.003 * number)
        assert isinstance(await here.grants.obtain(here.grant(CROWD[number]), PATIENCE), Trusted)

    await asyncio.gather(*(arrive(number) for number in range(100)))
    assert len(iam.made("write")) <= 3
    assert now() < 0.3 + 2 * 0.3 + 0.001
    assert_one_at_a_time(iam)
    assert_writes_were_careful(iam, own_in, CROWD)


@in_virtual_time
async def test_grants_asked_for_right_after_a_write_share_the_next() -> None:
    """IAM's rate is for all roles and replicas together: a role that many ask for takes its time."""
    iam = SimulatedIam(latency=0.05, limit=ROOM_FOR_ALL)
    here = site(iam, ROLE)

    async def arrive(number: int) -> None:
        await asyncio.sleep(0.01 * number)
        assert isinstance(await here.grants.obtain(here.grant(CROWD[number]), PATIENCE), Trusted)

    await asyncio.gather(*(arrive(number) for number in range(100)))
    assert now() < 1 + 2 * (GATHERING + 0.1)
    assert len(iam.made("write")) <= 1 + (1 + GATHERING) / (GATHERING + 0.05)


@in_virtual_time
async def test_a_grant_that_is_there_already_costs_no_call() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    await asyncio.sleep(1)
    iam.calls.clear()
    before = now()
    assert await here.grants.obtain(here.grant(subject(1)), PATIENCE) == Trusted(ROLE, TrustSource.ALREADY)
    assert now() == before
    here.grants.start(here.grant(subject(1)))
    await asyncio.sleep(60)
    assert iam.calls == []


@in_virtual_time
async def test_a_subject_that_an_earlier_program_wrote_is_not_written_again() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    document = iam.document(ROLE)
    document["Statement"].append(own_in(ROLE).render([subject(1)]))
    iam.store(ROLE, document)
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert outcome == Trusted(ROLE, TrustSource.ALREADY)
    assert iam.made("write") == []


@in_virtual_time
async def test_a_subject_that_an_external_wildcard_allows_is_not_written() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    own = own_in(ROLE)
    wildcard = {
        "Effect": "Allow",
        "Principal": {"Federated": own.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {own.subject_key: "system:serviceaccount:mxp-*-system:mxp-controller"}},
    }
    iam.edit(ROLE, lambda document: document["Statement"].append(wildcard))
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert outcome == Trusted(ROLE, TrustSource.EXTERNAL)
    assert iam.made("write") == []


@in_virtual_time
async def test_many_grants_of_one_subject_are_one_write() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    grant = here.grant(subject(1))
    outcomes = await asyncio.gather(*(here.grants.obtain(grant, PATIENCE) for _ in range(20)))
    assert set(outcomes) == {Trusted(ROLE, TrustSource.WRITTEN)}
    assert len(iam.made("write")) == 1


@in_virtual_time
async def test_roles_are_written_at_the_same_time() -> None:
    iam = SimulatedIam(latency=1.0)
    here = site(iam, *pool(6))
    waiting = [writer.submit(subject(1)).settled for writer in here.writers.values()]
    await asyncio.gather(*waiting)
    assert now() == 2.0
    assert len(iam.made("write")) == 6


@in_virtual_time
async def test_what_the_cluster_wants_goes_along_with_a_write_that_is_made_anyway() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.wanted[ROLE] = [subject(2), subject(3)]
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert here.trusted_in(ROLE) == {subject(1), subject(2), subject(3)}
    assert len(iam.made("write")) == 1
