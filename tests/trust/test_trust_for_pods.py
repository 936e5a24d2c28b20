"""The static statement: written once, put right when somebody edits it, and no news to anybody else."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.pods import OWN, PODS, ROLE, PodSite
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, foreign_document, subject
from tests.support.virtual_time import in_virtual_time
from webhook.domain.pod_statement import SERVICE
from webhook.domain.trust_policy import TrustPolicy, canonical
from webhook.telemetry import metrics
from webhook.trust.outcomes import Proof, Trusted, Untrusted
from webhook.trust.ports import FailureKind

WHO = subject(1)


def policy(here: PodSite) -> TrustPolicy:
    return TrustPolicy(here.iam.document(ROLE))


def repairs() -> float:
    return metrics.REGISTRY.get_sample_value("mxp_identity_trust_repairs_total", {"role_arn": ROLE.value}) or 0


def remove_ours(document: dict[str, Any]) -> None:
    document["Statement"] = [one for one in document["Statement"] if not OWN.owns(one)]


@in_virtual_time
async def test_many_who_ask_share_one_write_and_the_rest_of_the_policy_stays() -> None:
    here = PodSite()
    before = repairs()
    outcomes = await asyncio.gather(*(here.writer.submit_pods().settled for _ in range(50)))
    assert set(outcomes) == {Trusted(ROLE, Proof.WRITTEN)}
    assert len(here.iam.puts) == 1
    assert policy(here).with_subjects(OWN, ()).lets_pods_in(OWN)
    theirs = {canonical(one) for one in policy(here).statements if not OWN.owns(one)}
    assert theirs == {canonical(one) for one in foreign_document(ROLE)["Statement"]}
    assert repairs() == before


@in_virtual_time
async def test_where_it_is_there_already_nothing_is_written() -> None:
    here = PodSite()
    here.iam.edit(ROLE, lambda document: document["Statement"].append(PODS.render()))
    assert await here.writer.submit_pods().settled == Trusted(ROLE, Proof.ALREADY)
    assert here.iam.puts == []


@in_virtual_time
async def test_reads_that_are_late_cause_no_second_write() -> None:
    iam = SimulatedIam()
    iam.store(ROLE, foreign_document(ROLE))
    iam.stale = 5.0
    await asyncio.sleep(10)
    here = PodSite(iam)
    for number in range(40):
        here.grants.start(here.grant(subject(number)))
        await asyncio.sleep(0.5)
    assert len(iam.puts) == 1
    assert len(here.eks.now) == 40


@in_virtual_time
async def test_somebodys_edit_is_put_right_within_a_pass() -> None:
    here = PodSite()
    await here.grants.obtain(here.grant(WHO), PATIENCE)
    await asyncio.sleep(120)
    before = repairs()
    here.iam.edit(ROLE, remove_ours)
    here.grants.check()
    await asyncio.sleep(10)
    assert policy(here).lets_pods_in(OWN)
    assert repairs() == before + 1


@in_virtual_time
async def test_a_deny_that_keeps_all_pods_out_is_reported_and_no_association_is_made() -> None:
    here = PodSite()
    denial = {"Sid": "No", "Effect": "Deny", "Principal": {"Service": SERVICE}, "Action": "sts:*"}
    here.iam.edit(ROLE, lambda document: document["Statement"].append(denial))
    outcome = await here.grants.obtain(here.grant(WHO), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert (outcome.kind, "(Sid No)" in outcome.reason) == (FailureKind.DENIED_BY_POLICY, True)
    assert here.eks.now == {}


@in_virtual_time
async def test_a_role_without_room_is_told_and_no_association_is_made() -> None:
    here = PodSite()
    here.iam.limit = here.iam.answered_limit = 600
    outcome = await here.grants.obtain(here.grant(WHO), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.FULL
    assert here.eks.now == {}


@in_virtual_time
async def test_while_iam_is_away_an_admission_waits_no_longer_than_it_may() -> None:
    here = PodSite()
    here.iam.have(Trouble.HANGS)
    outcome = await here.grants.obtain(here.grant(WHO), PATIENCE)
    assert isinstance(outcome, Untrusted)
    here.iam.recover()
    await asyncio.sleep(60)
    assert here.grants.known(here.grant(WHO)) == Trusted(ROLE, Proof.ALREADY)
