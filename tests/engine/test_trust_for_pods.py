"""The static statement: written once, and repaired after an external edit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.locks import MemoryLeases
from tests.support.pods import OWN, PODS, ROLE, PodSite
from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, Site, external_document, own_in, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.coordination.lock import LeaseLock
from webhook.iam.policy_cache import PolicyCache
from webhook.iam.role_writer import RoleWriter
from webhook.iam.statement import SERVICE
from webhook.iam.trust_policy import TrustPolicy, canonical
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.model.names import RoleArn, Subject

ACCOUNT = subject(1)


def policy_of(iam: SimulatedIam) -> TrustPolicy:
    return TrustPolicy(iam.document(ROLE))


def policy(here: PodSite) -> TrustPolicy:
    return TrustPolicy(here.iam.document(ROLE))


def repairs() -> float:
    return sample("mxp_identity_trust_repairs_total", {"role_arn": ROLE.value}) or 0


def remove_ours(document: dict[str, Any]) -> None:
    document["Statement"] = [one for one in document["Statement"] if not OWN.owns(one)]


@in_virtual_time
async def test_many_grants_share_one_write_and_the_rest_of_the_policy_stays() -> None:
    here = PodSite()
    before = repairs()
    outcomes = await asyncio.gather(*(here.writer.submit_pods().settled for _ in range(50)))
    assert set(outcomes) == {Trusted(ROLE, TrustSource.WRITTEN)}
    assert len(here.iam.puts) == 1
    assert policy(here).with_subjects(OWN, ()).allows_pods(OWN)
    theirs = {canonical(one) for one in policy(here).statements if not OWN.owns(one)}
    assert theirs == {canonical(one) for one in external_document(ROLE)["Statement"]}
    assert repairs() == before


@in_virtual_time
async def test_where_it_is_there_already_nothing_is_written() -> None:
    here = PodSite()
    here.iam.edit(ROLE, lambda document: document["Statement"].append(PODS.render()))
    assert await here.writer.submit_pods().settled == Trusted(ROLE, TrustSource.ALREADY)
    assert here.iam.puts == []


@in_virtual_time
async def test_reads_that_are_late_cause_no_second_write() -> None:
    iam = SimulatedIam()
    iam.store(ROLE, external_document(ROLE))
    iam.stale = 5.0
    await asyncio.sleep(10)
    here = PodSite(iam)
    for number in range(40):
        here.grants.start(here.grant(subject(number)))
        await asyncio.sleep(0.5)
    assert len(iam.puts) == 1
    assert len(here.eks.now) == 40


@in_virtual_time
async def test_an_external_edit_is_repaired_within_a_pass() -> None:
    here = PodSite()
    await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    await asyncio.sleep(120)
    before = repairs()
    here.iam.edit(ROLE, remove_ours)
    here.grants.enqueue()
    await asyncio.sleep(10)
    assert policy(here).allows_pods(OWN)
    assert repairs() == before + 1


class Following:
    """The DesiredSubjects of a command: what the program trusts already, so that there is never one to add."""

    def __init__(self, program: Site) -> None:
        self._program = program

    def wanted_in(self, one: RoleArn) -> list[Subject]:
        return sorted(self._program.trusted_in(one))

    def may_want(self, one: RoleArn, account: Subject) -> bool:
        return self._program.may_want(one, account)

    def may_remove(self, _: RoleArn, __: Subject) -> bool:
        return False

    def seems_unused(self, _: RoleArn, __: Subject) -> bool:
        return False

    def addable_among(self, accounts: Collection[Subject]) -> Collection[Subject]:
        return accounts

    def replaced_among(self, _: Collection[Subject]) -> Collection[Subject]:
        return ()


@in_virtual_time
async def test_a_former_statement_is_removed_though_another_program_adds_a_subject_every_other_second() -> None:
    """No read is like the one before, and none lacks a subject: that does not make it a stale read."""
    iam, store = SimulatedIam(limit=8192), MemoryLeases()
    program = site(iam, ROLE, lock=LeaseLock(store, "a"))
    iam.edit(ROLE, lambda document: document["Statement"].append(PODS.render()))
    own = replace(own_in(ROLE), former=frozenset({PODS.sid}))
    writer = RoleWriter(
        PolicyCache(ROLE), lambda _: own, iam.client("command"), LeaseLock(store, "b"), Following(program)
    )
    for number in range(20):
        await program.grants.obtain(program.grant(subject(number)), PATIENCE)
        await asyncio.sleep(1)
        writer.enqueue()
        await asyncio.sleep(1)
        if number == 3:
            assert not policy_of(iam).has_former(own)
    assert program.trusted_in(ROLE) == {subject(number) for number in range(20)}
    assert len([put for put in iam.puts if put.call.caller == "command"]) == 1
    await writer.close()


@in_virtual_time
async def test_a_deny_that_keeps_all_pods_out_is_reported_and_no_association_is_made() -> None:
    here = PodSite()
    denial = {"Sid": "No", "Effect": "Deny", "Principal": {"Service": SERVICE}, "Action": "sts:*"}
    here.iam.edit(ROLE, lambda document: document["Statement"].append(denial))
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert (outcome.kind, "(Sid No)" in outcome.reason) == (FailureKind.DENIED_BY_POLICY, True)
    assert here.eks.now == {}


@in_virtual_time
async def test_a_role_without_room_is_told_and_no_association_is_made() -> None:
    here = PodSite()
    here.iam.limit = here.iam.answered_limit = 600
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.FULL
    assert here.eks.now == {}


@in_virtual_time
async def test_while_iam_is_away_an_admission_waits_no_longer_than_it_may() -> None:
    here = PodSite()
    here.iam.have(Trouble.HANGS)
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    here.iam.recover()
    await asyncio.sleep(60)
    assert here.grants.known(here.grant(ACCOUNT)) == Trusted(ROLE, TrustSource.ALREADY)
