"""Associations: one for each ServiceAccount, whatever EKS, other replicas and external edits do meanwhile."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
import structlog

from tests.support.pods import CLUSTER, OWNER, ROLE, PodSite
from tests.support.samples import sample
from tests.support.simulated_eks import ADDON, CLIENT_TIMEOUT, LATENCY, SimulatedEks, Trouble, refusal
from tests.support.sites import PATIENCE, role, subject
from tests.support.token_bucket import TokenBucket
from tests.support.virtual_time import in_virtual_time, now
from webhook.coordination.lock import REMEMBERED
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted
from webhook.podidentity.association import Association, Ownership
from webhook.podidentity.association_cache import PROPAGATED_WITHIN, SETTLES_WITHIN
from webhook.podidentity.associations import DESCRIBED_PER_PASS

SUBJECT = subject(1)
OTHER = role("external").value
INTERVAL = 60.0


def gauge(name: str) -> float:
    value = sample(f"mxp_identity_{name}")
    assert value is not None
    return value


async def obtained(here: PodSite, *numbers: int) -> None:
    for number in numbers:
        assert isinstance(await here.grants.obtain(here.grant(subject(number)), PATIENCE), Trusted)


async def passing(here: PodSite, times: int = 1) -> None:
    """As the passes do it."""
    for _ in range(times):
        here.grants.enqueue()
        for each in here.wanted:
            here.grants.start(here.grant(each))
        await asyncio.sleep(INTERVAL)


@in_virtual_time
async def test_a_grant_is_one_association_with_our_tags_and_the_roles_trust_before_it() -> None:
    here = PodSite()
    outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
    assert outcome == Trusted(ROLE, TrustSource.WRITTEN)
    made = here.eks.now[SUBJECT]
    assert (made.role, dict(made.tags)) == (ROLE.value, OWNER.tags())
    assert here.writer.cache.pods
    assert here.eks.calls == {"list": 1, "create": 1}


@in_virtual_time
async def test_a_thousand_namespaces_are_a_thousand_associations_and_one_statement() -> None:
    here = PodSite()
    await obtained(here, 0)
    size = len(str(here.iam.document(ROLE)))
    many = [here.grant(subject(number)) for number in range(1, 1000)]
    await asyncio.gather(*(here.grants.obtain(one, 300) for one in many))
    assert len(here.eks.now) == here.eks.calls["create"] == 1000
    assert len(str(here.iam.document(ROLE))) == size
    assert len(here.iam.puts) == 1


@pytest.mark.parametrize(("admitted", "seconds"), [(20.0, 1.3 * 400 / 20), (1000.0, 400 / 20 - 5)])
def test_calls_follow_the_rate_that_eks_admits_and_are_few_at_once(admitted: float, seconds: float) -> None:
    @in_virtual_time
    async def associate() -> None:
        here = PodSite()
        here.eks.bucket = TokenBucket(admitted, 20, now)
        many = [here.grant(subject(number)) for number in range(400)]
        await asyncio.gather(*(here.grants.obtain(one, 300) for one in many))
        assert now() < seconds
        assert here.eks.most_at_once <= 8
        assert here.eks.calls.total() <= 1.1 * 400

    associate()


@in_virtual_time
async def test_an_association_that_another_replica_created_is_adopted_without_a_second_create() -> None:
    here = PodSite()
    there = PodSite(eks=here.eks, name="b")
    outcomes = await asyncio.gather(
        here.grants.obtain(here.grant(SUBJECT), PATIENCE), there.grants.obtain(there.grant(SUBJECT), PATIENCE)
    )
    assert all(isinstance(outcome, Trusted) for outcome in outcomes)
    assert {outcome.source for outcome in outcomes if isinstance(outcome, Trusted)} == {
        TrustSource.WRITTEN,
        TrustSource.ALREADY,
    }
    assert here.eks.calls == {"list": 2, "create": 2, "describe": 1}


@in_virtual_time
async def test_replicas_that_see_a_namespace_at_once_make_one_call_each_for_its_association() -> None:
    here = PodSite()
    others = [PodSite(eks=here.eks, name=name) for name in ("b", "c")]
    for site in (here, *others):
        await site.associations.submit(subject(2), ROLE).settled  # the list is read
    here.eks.calls.clear()
    for site in (here, *others):
        site.grants.start(site.grant(SUBJECT))
    await asyncio.sleep(10)
    assert here.eks.calls == {"create": 3}
    assert len(here.eks.now) == 2


@in_virtual_time
async def test_after_a_restart_listed_associations_are_known_and_none_is_written() -> None:
    here = PodSite()
    await obtained(here, *range(50))
    after = PodSite(here.iam, here.eks, "b")
    after.wanted = {subject(number): ROLE for number in range(50)}
    await passing(after, 2)
    assert all(after.associations.cache.trust_source(subject(number), ROLE) for number in range(50))
    assert here.eks.calls["create"] == 50
    assert here.eks.calls["update"] == 0


@in_virtual_time
async def test_describing_associations_hardly_delays_a_new_one() -> None:
    here = PodSite()
    many = {subject(number): ROLE for number in range(3 * DESCRIBED_PER_PASS)}
    for each in many:
        here.eks.put(each, ROLE.value, tags=OWNER.tags())
    here.wanted = dict(many)
    here.grants.enqueue()
    for each in many:
        here.grants.start(here.grant(each))
    await asyncio.sleep(1)
    newcomer, began = subject(9999), now()
    assert await here.grants.obtain(here.grant(newcomer), PATIENCE) == Trusted(ROLE, TrustSource.WRITTEN)
    assert now() - began < 5 * LATENCY
    await asyncio.sleep(INTERVAL)
    assert here.eks.calls["describe"] == DESCRIBED_PER_PASS
    assert here.eks.calls["create"] == 1


@in_virtual_time
async def test_while_a_list_is_late_no_association_is_created_twice() -> None:
    here = PodSite(eks=SimulatedEks(late=10))
    here.wanted = {SUBJECT: ROLE}
    await obtained(here, 1)
    await passing(here, 3)
    assert here.eks.calls["create"] == 1
    assert here.associations.cache.trust_source(SUBJECT, ROLE)


# External edits


@in_virtual_time
async def test_an_association_changed_by_hand_is_repaired_by_a_later_pass() -> None:
    here = PodSite()
    here.wanted = {subject(number): ROLE for number in range(DESCRIBED_PER_PASS + 50)}
    before = gauge("association_repairs_total")
    await passing(here)
    here.eks.edit(subject(7), role=OTHER)
    here.eks.edit(subject(DESCRIBED_PER_PASS + 7), session_tags=False)
    await passing(here, 3)
    assert here.eks.now[subject(7)].role == ROLE.value
    assert here.eks.now[subject(DESCRIBED_PER_PASS + 7)].session_tags
    assert gauge("association_repairs_total") == before + 2


@in_virtual_time
async def test_an_association_deleted_by_hand_is_recreated_by_the_next_pass() -> None:
    here = PodSite()
    here.wanted = {SUBJECT: ROLE}
    await passing(here)
    await asyncio.sleep(SETTLES_WITHIN)
    here.eks.drop(SUBJECT)
    await passing(here)
    assert here.eks.now[SUBJECT].role == ROLE.value


TAKEN: dict[str, dict[str, object]] = {
    "created by hand": {"role": OTHER},
    "an add-on's": {"role": OTHER, "owner_arn": ADDON},
    "an add-on's with our tags": {"role": OTHER, "owner_arn": ADDON, "tags": OWNER.tags()},
    "another installation's": {"role": OTHER, "tags": Ownership(CLUSTER, "canary").tags()},
    "without session tags": {"role": ROLE.value, "session_tags": False},
}


@pytest.mark.parametrize("case", TAKEN)
def test_an_external_association_that_is_wrong_is_reported_and_never_changed(case: str) -> None:
    @in_virtual_time
    async def _() -> None:
        here = PodSite()
        external = here.eks.put(SUBJECT, **TAKEN[case])  # type: ignore[arg-type]
        here.wanted = {SUBJECT: ROLE}
        outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
        assert isinstance(outcome, Untrusted)
        assert (outcome.kind, external.id in outcome.reason) == (FailureKind.TAKEN, True)
        await passing(here, 3)
        assert not await here.associations.remove(SUBJECT)
        assert here.eks.now[SUBJECT] == external
        assert {"create", "update", "delete"}.isdisjoint(here.eks.calls)
        assert SUBJECT not in here.associations.subjects

    _()


@pytest.mark.parametrize("owner", [None, ADDON])
def test_an_external_association_that_is_correct_is_accepted_and_stays_external(owner: str | None) -> None:
    @in_virtual_time
    async def _() -> None:
        here = PodSite()
        external = here.eks.put(SUBJECT, ROLE.value, owner_arn=owner)
        here.wanted = {SUBJECT: ROLE}
        await passing(here, 2)
        assert here.associations.cache.trust_source(SUBJECT, ROLE) is TrustSource.EXTERNAL
        assert not await here.associations.remove(SUBJECT)
        assert here.eks.now[SUBJECT] == external

    _()


@in_virtual_time
async def test_once_an_external_association_is_deleted_the_next_pass_creates_ours() -> None:
    here = PodSite()
    here.eks.put(SUBJECT, OTHER)
    here.wanted = {SUBJECT: ROLE}
    await passing(here)
    here.eks.drop(SUBJECT)
    await passing(here, 2)
    assert here.eks.now[SUBJECT].role == ROLE.value


# Removals


@in_virtual_time
async def test_a_managed_association_is_removed_on_demand_and_can_be_recreated() -> None:
    here = PodSite(eks=SimulatedEks(in_use_after_delete=5))
    await obtained(here, 1)
    assert here.associations.subjects == {SUBJECT: ROLE}
    assert await here.associations.remove(SUBJECT)
    assert here.eks.now == {}
    assert here.associations.cache.trust_source(SUBJECT, ROLE) is None
    await here.grants.obtain(here.grant(SUBJECT), 30)
    assert here.eks.now[SUBJECT].role == ROLE.value
    assert here.eks.calls["create"] > 2


@in_virtual_time
async def test_approved_removals_delete_associations_but_none_that_is_wanted_again() -> None:
    here = PodSite()
    here.wanted = {subject(2): ROLE}
    await obtained(here, 1, 2, 3)
    external = here.eks.put(subject(4), OTHER)
    here.associations.approve_removals({SUBJECT, subject(2), subject(4)})
    await asyncio.sleep(10)
    assert set(here.eks.now) == {subject(2), subject(3), subject(4)}
    assert here.eks.now[subject(4)] == external


@in_virtual_time
async def test_a_review_of_an_association_keeps_it_for_a_minute_after_its_removal_was_approved() -> None:
    here = PodSite()
    await obtained(here, 1, 2)
    here.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "delete"))
    here.associations.approve_removals({SUBJECT, subject(2)})
    await obtained(here, 1)
    for _ in range(5):
        await asyncio.sleep((REMEMBERED - 1) / 5)
        here.associations.approve_removals({SUBJECT, subject(2)})
        assert SUBJECT in here.eks.now
    await asyncio.sleep(5)
    here.associations.approve_removals({SUBJECT, subject(2)})
    await asyncio.sleep(5)
    assert here.eks.now == {}


@pytest.mark.parametrize("moment", [moment * LATENCY / 2 for moment in range(5)])
@pytest.mark.parametrize("trouble", [None, Trouble(refusal(FailureKind.UNAVAILABLE), "delete", applied=True)])
@in_virtual_time
async def test_the_answer_to_a_review_while_an_association_is_deleted_is_true_afterwards(
    moment: float, trouble: Trouble | None
) -> None:
    here = PodSite()
    await obtained(here, 1, 2)
    if trouble:
        here.eks.have(replace(trouble))
    here.associations.approve_removals({SUBJECT})
    await asyncio.sleep(moment)
    for pause in (5.0, 10.0):
        await obtained(here, 1)
        await asyncio.sleep(pause)
        assert SUBJECT in here.eks.now


@in_virtual_time
async def test_an_approved_removal_is_retried_until_it_is_revoked() -> None:
    here = PodSite()
    await obtained(here, 1, 2)
    here.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "delete", times=2))
    for _ in range(3):
        here.associations.approve_removals({SUBJECT})
        await asyncio.sleep(10)
    here.associations.approve_removals(())
    assert set(here.eks.now) == {subject(2)}


@in_virtual_time
async def test_after_a_restart_unused_managed_associations_are_found_and_external_ones_are_not_managed() -> None:
    here = PodSite()
    await obtained(here, 1, 2)
    here.eks.put(subject(3), ROLE.value)
    here.eks.put(subject(4), ROLE.value, owner_arn=ADDON, tags=OWNER.tags())
    after = PodSite(here.iam, here.eks, "b")
    after.wanted = {subject(2): ROLE}
    await passing(after)
    assert after.associations.subjects.keys() == {SUBJECT, subject(2)}


@in_virtual_time
async def test_an_association_that_cannot_be_described_is_logged_and_delays_no_other() -> None:
    here = PodSite()
    await obtained(here, 1, 2, 3)
    after = PodSite(here.iam, here.eks, "b")
    here.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED, "may not describe"), "describe", times=1))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with structlog.testing.capture_logs() as logged:
        await passing(after)
    assert [line["namespace"] for line in logged if line["event"] == "association_not_described"] == [
        SUBJECT.namespace
    ]
    assert after.associations.subjects.keys() == {subject(2), subject(3)}


@pytest.mark.parametrize("odd", ["", "no role", "arn:aws:iam::123456789012:role/a b/c"])
@in_virtual_time
async def test_a_managed_association_that_names_no_role_delays_no_other_and_is_repaired(
    odd: str,
) -> None:
    here = PodSite()
    await obtained(here, 1, 2, 3)
    here.eks.edit(SUBJECT, role=odd)
    here.eks.edit(subject(2), role=OTHER)
    after = PodSite(here.iam, here.eks, "b")
    after.wanted = {subject(2): ROLE}
    await passing(after, 2)
    assert after.associations.subjects == {SUBJECT: None, subject(2): ROLE, subject(3): ROLE}
    assert here.eks.now[subject(2)].role == ROLE.value
    after.wanted = {SUBJECT: ROLE, subject(2): ROLE}
    await passing(after, 3)
    assert here.eks.now[SUBJECT].role == ROLE.value
    assert after.associations.subjects[SUBJECT] == ROLE


@in_virtual_time
async def test_a_review_is_answered_by_the_described_association_and_not_by_the_presumed_one() -> None:
    here = PodSite()
    await here.associations.submit(subject(2), ROLE).settled
    await here.writer.submit_pods().settled
    here.eks.put(SUBJECT, OTHER)
    here.grants.start(here.grant(SUBJECT))
    outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.TAKEN


@in_virtual_time
async def test_an_association_edited_to_a_role_that_no_binding_can_name_is_repaired_and_blocks_no_other() -> None:
    here = PodSite()
    subjects = [subject(number) for number in range(5)]
    for one in subjects:
        await here.associations.submit(one, ROLE).settled
    here.wanted = dict.fromkeys(subjects, ROLE)
    await asyncio.sleep(60)
    for one in subjects:
        here.eks.edit(one, role="arn:aws:iam::123456789012:role/a!b/other")
    here.associations.enqueue()
    await asyncio.sleep(60)
    assert {found.role for found in here.eks.now.values()} == {ROLE.value}


@in_virtual_time
async def test_a_request_for_an_association_that_is_removed_ends_as_withdrawn() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "create", times=1000))
    ticket = here.associations.submit(SUBJECT, ROLE)
    await asyncio.sleep(5)
    assert not await here.associations.remove(SUBJECT)
    outcome = await ticket.settled
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.WITHDRAWN
    here.eks.recover()
    await asyncio.sleep(60)
    assert here.eks.now == {}


@in_virtual_time
async def test_a_request_whose_namespace_was_replaced_ends_as_withdrawn_without_an_association() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "create", times=1000))
    ticket = here.associations.submit(SUBJECT, ROLE)
    await asyncio.sleep(5)
    here.others.add(SUBJECT)
    here.eks.recover()
    outcome = await ticket.settled
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.WITHDRAWN
    assert here.eks.now == {}


@in_virtual_time
async def test_removing_an_association_that_is_gone_is_no_error() -> None:
    here = PodSite()
    await obtained(here, 1)
    here.eks.drop(SUBJECT)
    assert not await here.associations.remove(SUBJECT)


# What EKS answers


@in_virtual_time
async def test_throttling_slows_all_requests_and_loses_none() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.THROTTLED), times=30))
    many = [here.grants.obtain(here.grant(subject(number)), 300) for number in range(40)]
    assert all(isinstance(outcome, Trusted) for outcome in await asyncio.gather(*many))
    assert len(here.eks.now) == 40
    await asyncio.sleep(60)
    here.eks.have(Trouble(refusal(FailureKind.THROTTLED), "create"))
    here.grants.start(here.grant(subject(50)))
    await asyncio.sleep(LATENCY)
    began = now()
    await here.grants.obtain(here.grant(subject(51)), 300)
    assert now() - began > LATENCY


@in_virtual_time
async def test_a_lost_answer_to_a_create_is_looked_up_and_not_repeated() -> None:
    here = PodSite()
    lost = AwsError(FailureKind.UNAVAILABLE, "Read timeout")
    here.eks.have(Trouble(lost, "create", applied=True))
    outcome = await here.grants.obtain(here.grant(SUBJECT), CLIENT_TIMEOUT)
    assert outcome == Trusted(ROLE, TrustSource.ALREADY)
    assert len(here.eks.now) == 1


@in_virtual_time
async def test_a_role_that_eks_does_not_accept_yet_is_tried_until_it_does() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.ROLE_NOT_ACCEPTED), "create", times=4))
    outcome = await here.grants.obtain(here.grant(SUBJECT), 30)
    assert outcome == Trusted(ROLE, TrustSource.WRITTEN)


@in_virtual_time
async def test_a_full_cluster_is_reported_at_once_and_tried_again_with_each_pass() -> None:
    here = PodSite(eks=SimulatedEks(limit=1))
    here.eks.put(subject(2), OTHER)
    here.wanted = {SUBJECT: ROLE}
    outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.FULL
    made = here.eks.calls["create"]
    await asyncio.sleep(50)
    assert here.eks.calls["create"] == made
    here.eks.limit = 2
    await passing(here)
    assert SUBJECT in here.eks.now


@pytest.mark.parametrize("kind", [FailureKind.ACCESS_DENIED, FailureKind.NO_SUCH_CLUSTER, FailureKind.MALFORMED])
def test_a_refusal_that_lasts_is_reported_at_once_and_retried(kind: FailureKind) -> None:
    @in_virtual_time
    async def _() -> None:
        here = PodSite()
        here.eks.have(Trouble(refusal(kind, "why not"), "create", times=5))
        began = now()
        outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
        assert isinstance(outcome, Untrusted)
        assert (outcome.kind, outcome.reason) == (kind, "why not")
        assert now() - began < 2
        await asyncio.sleep(30)
        assert SUBJECT in here.eks.now

    _()


@in_virtual_time
async def test_an_id_that_eks_does_not_name_is_waited_for() -> None:
    here = PodSite(eks=SimulatedEks(names_the_id=False))
    await here.associations.submit(subject(2), ROLE).settled
    here.eks.put(SUBJECT, ROLE.value, tags=OWNER.tags())
    ticket = here.associations.submit(SUBJECT, ROLE)
    here.wanted = {SUBJECT: ROLE}
    await passing(here)
    assert await ticket.settled == Trusted(ROLE, TrustSource.ALREADY)


@in_virtual_time
async def test_without_a_list_no_association_is_created_and_the_reason_is_reported() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.ACCESS_DENIED, "may not list"), "list", times=3))
    outcome = await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.reason == "may not list"
    await asyncio.sleep(30)
    assert SUBJECT in here.eks.now


@in_virtual_time
async def test_an_association_counts_as_propagated_a_while_after_it_was_created_or_seen() -> None:
    here = PodSite()
    there = PodSite(eks=here.eks, name="b")
    for site in (here, there):
        await site.associations.submit(subject(2), ROLE).settled
        await site.writer.submit_pods().settled
    for site in (here, there):
        site.grants.start(site.grant(SUBJECT))
    await asyncio.sleep(PROPAGATED_WITHIN - 5)
    assert not any(site.grants.is_propagated(site.grant(SUBJECT)) for site in (here, there))
    await asyncio.sleep(10)
    assert all(site.grants.is_propagated(site.grant(SUBJECT)) for site in (here, there))


@in_virtual_time
async def test_a_conflicting_association_never_counts_as_propagated() -> None:
    here = PodSite()
    here.eks.put(SUBJECT, OTHER)
    await here.grants.obtain(here.grant(SUBJECT), PATIENCE)
    await asyncio.sleep(2 * PROPAGATED_WITHIN)
    assert not here.grants.is_propagated(here.grant(SUBJECT))


# Metrics, and the end


@in_virtual_time
async def test_the_quota_of_associations_is_in_the_metrics() -> None:
    here = PodSite()
    for number in range(4500):
        here.eks.now[subject(number)] = Association(f"a-{number}", subject(number), OTHER)
    await passing(here)
    assert gauge("association_quota") == 5000
    assert gauge("associations") == 4500
    assert gauge("associations_that_fit") == 500


@in_virtual_time
async def test_after_close_no_call_is_started() -> None:
    here = PodSite()
    here.eks.have(Trouble(refusal(FailureKind.UNAVAILABLE), "create", times=1000))
    here.grants.start(here.grant(SUBJECT))
    await asyncio.sleep(5)
    await here.grants.close()
    calls = here.eks.calls.total()
    here.grants.enqueue()
    await asyncio.sleep(100)
    assert here.eks.calls.total() == calls
