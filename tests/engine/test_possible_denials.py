"""A Deny that only AWS can judge: the grant is written all the same, and its doubt is reported."""

from __future__ import annotations

from dataclasses import replace

from tests.support.pods import ROLE as PODS_ROLE
from tests.support.pods import PodSite
from tests.support.reviews import review, reviewing
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, role, site, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World
from webhook.iam.statement import SERVICE
from webhook.model.outcomes import Trusted, TrustSource

ROLE = role()
ACCOUNT = subject(1)
OUTSIDE = {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
DENY = {"Sid": "Org", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:*", "Condition": OUTSIDE}


def doubt(iam: SimulatedIam, **more: object) -> None:
    iam.edit(ROLE, lambda document: document["Statement"].insert(0, {**DENY, **more}))


@in_virtual_time
async def test_a_subject_that_may_be_denied_is_written_and_the_doubt_reported_with_its_place() -> None:
    iam = SimulatedIam(reorders=False)
    here = site(iam, ROLE)
    doubt(iam)
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(outcome, Trusted)
    assert (outcome.source, outcome.label) == (TrustSource.WRITTEN, "uncertain")
    assert outcome.doubt.startswith(f"statement 1 (Sid Org) of the trust policy of {ROLE} may deny it")
    assert here.trusts(ROLE, ACCOUNT)


@in_virtual_time
async def test_the_doubt_stays_for_all_later_grants_and_costs_no_call() -> None:
    iam = SimulatedIam(reorders=False)
    here = site(iam, ROLE)
    doubt(iam)
    first = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(first, Trusted)
    calls = len(iam.made("read"))
    again = here.grants.known(here.grant(ACCOUNT))
    assert isinstance(first, Trusted)
    assert again == replace(first, source=TrustSource.ALREADY)
    assert len(iam.made("read")) == calls


@in_virtual_time
async def test_a_deny_that_the_token_rules_out_is_no_doubt() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    doubt(iam, Action="sts:AssumeRole")
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert outcome == Trusted(ROLE, TrustSource.WRITTEN)
    assert here.grants.known(here.grant(ACCOUNT)) == Trusted(ROLE, TrustSource.ALREADY)


@in_virtual_time
async def test_a_deny_that_may_deny_eks_is_reported_where_it_may_be_about_the_pods() -> None:
    here = PodSite()
    theirs = {"aws:RequestTag/kubernetes-namespace": ACCOUNT.namespace, "aws:SourceVpc": "vpc-1"}
    statement = {**DENY, "Principal": {"Service": SERVICE}, "Condition": {"StringEquals": theirs}}
    here.iam.edit(PODS_ROLE, lambda document: document["Statement"].append(statement))
    outcome = await here.grants.obtain(here.grant(ACCOUNT), PATIENCE)
    assert isinstance(outcome, Trusted)
    assert "(Sid Org)" in outcome.doubt
    known = here.grants.known(here.grant(ACCOUNT))
    assert known is not None
    assert known.doubt == outcome.doubt
    other = await here.grants.obtain(here.grant(subject(2)), PATIENCE)
    assert isinstance(other, Trusted)
    assert not other.doubt


@in_virtual_time
async def test_a_review_is_annotated_and_warned_of_a_deny_that_may_hold_even_where_trust_is_a_condition() -> None:
    world = World(iam=SimulatedIam(reorders=False), refuses=True)
    doubt(world.iam)
    world.cluster.add_namespace(ACCOUNT.namespace)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(ACCOUNT))
    assert reply.allowed
    assert reply.annotation == ROLE.value
    assert reply.response["auditAnnotations"]["trust"] == "uncertain"
    (warning,) = reply.warnings
    assert warning.startswith(f"mxp-identity: statement 1 (Sid Org) of the trust policy of {ROLE} may deny it")
