"""A binding with several roles: each subject in one of them, in its own order, where there is room."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.invariants import assert_writes_were_careful
from tests.support.simulated_iam import SAID_AT_ONCE, SimulatedIam, Trouble
from tests.support.sites import PATIENCE, Site, own_in, pool, site, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted

if TYPE_CHECKING:
    from webhook.model.names import RoleArn, Subject

ROLES = pool(3)
NEWCOMER = subject(7)


def _order(here: Site, account: Subject = NEWCOMER) -> tuple[RoleArn, ...]:
    return here.binding.roles_in_order(account)


def _trust_externally(here: Site, one: RoleArn, *account: Subject) -> None:
    here.iam.edit(one, lambda document: document["Statement"].append(own_in(one).render(account)))


def _roles_of(here: Site, account: Subject) -> list[RoleArn]:
    return [one for one in here.roles if here.trusts(one, account)]


@in_virtual_time
async def test_a_subject_gets_the_first_role_of_its_own_order() -> None:
    here = site(SimulatedIam(), *ROLES)
    for number in range(9):
        grant = here.grant(subject(number))
        outcome = await here.grants.obtain(grant, PATIENCE)
        assert outcome == Trusted(_order(here, subject(number))[0], TrustSource.WRITTEN)
        assert _roles_of(here, subject(number)) == [outcome.role]


@in_virtual_time
async def test_two_programs_choose_the_same_role_without_talking() -> None:
    iam = SimulatedIam()
    one, other = site(iam, *ROLES), Site(iam, *ROLES, name="b")
    for number in range(9):
        await one.grants.obtain(one.grant(subject(number)), PATIENCE)
        assert await other.grants.obtain(other.grant(subject(number)), PATIENCE) == Trusted(
            _order(one, subject(number))[0], TrustSource.ALREADY
        )


@in_virtual_time
async def test_full_roles_overflow_to_the_next_until_all_are_full() -> None:
    iam = SimulatedIam(limit=1500)
    here = site(iam, *ROLES)
    crowd = [subject(number) for number in range(40)]
    outcomes = await asyncio.gather(*(here.grants.obtain(here.grant(account), PATIENCE) for account in crowd))
    trusted = [account for account, outcome in zip(crowd, outcomes, strict=True) if isinstance(outcome, Trusted)]
    sizes = {one: len(here.trusted_in(one)) for one in ROLES}
    assert len(set(sizes.values())) == 1
    assert sum(sizes.values()) == len(trusted)
    assert Counter(account for one in ROLES for account in here.trusted_in(one)) == Counter(trusted)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Untrusted)]
    assert {refusal.kind for refusal in refusals} == {FailureKind.FULL}
    assert_writes_were_careful(iam, own_in, crowd)


@in_virtual_time
async def test_a_subject_that_does_not_fit_gets_its_second_choice() -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    first, second, _ = _order(here)
    _fill(here, first)
    assert await here.grants.obtain(here.grant(NEWCOMER), PATIENCE) == Trusted(second, TrustSource.WRITTEN)
    assert _roles_of(here, NEWCOMER) == [second]


@in_virtual_time
async def test_a_role_that_was_full_a_moment_ago_is_not_asked_first() -> None:
    here = site(SimulatedIam(limit=1500), *ROLES)
    first, second, _ = _order(here)
    _fill(here, first)
    await asyncio.gather(*(writer.wait_until_synced() for writer in here.writers.values()))
    here.iam.calls.clear()
    assert await here.grants.obtain(here.grant(NEWCOMER), PATIENCE) == Trusted(second, TrustSource.WRITTEN)
    assert here.iam.made("read", first) == []


@in_virtual_time
async def test_roles_that_were_full_a_moment_ago_are_read_before_a_subject_is_refused() -> None:
    here = site(SimulatedIam(limit=1500), *ROLES)
    for one in ROLES:
        _fill(here, one)
    await asyncio.gather(*(writer.wait_until_synced() for writer in here.writers.values()))
    here.iam.edit(ROLES[1], lambda document: document["Statement"].pop())
    assert await here.grants.obtain(here.grant(NEWCOMER), PATIENCE) == Trusted(ROLES[1], TrustSource.WRITTEN)


@in_virtual_time
async def test_a_role_that_was_full_long_ago_is_asked_first() -> None:
    here = site(SimulatedIam(limit=1500), *ROLES)
    first = _order(here)[0]
    _fill(here, first)
    await asyncio.gather(*(writer.wait_until_synced() for writer in here.writers.values()))
    here.iam.edit(first, lambda document: document["Statement"].pop())
    await asyncio.sleep(200)
    assert await here.grants.obtain(here.grant(NEWCOMER), PATIENCE) == Trusted(first, TrustSource.WRITTEN)


@pytest.mark.parametrize("place", [0, 1, 2])
@in_virtual_time
async def test_a_subject_stays_where_it_is_trusted_already(place: int) -> None:
    here = site(SimulatedIam(), *ROLES)
    home = _order(here)[place]
    _trust_externally(here, home, NEWCOMER)
    outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    assert _roles_of(here, NEWCOMER) == [home]
    assert outcome == Trusted(home, TrustSource.ALREADY)
    assert here.iam.made("write") == []


@pytest.mark.parametrize("place", [0, 1, 2])
@in_virtual_time
async def test_the_annotated_role_is_preferred(place: int) -> None:
    here = site(SimulatedIam(), *ROLES)
    annotated = _order(here)[place]
    grant = here.grant(NEWCOMER, annotated)
    assert here.grants.likely_role(grant) == annotated
    assert await here.grants.obtain(grant, PATIENCE) == Trusted(annotated, TrustSource.WRITTEN)
    assert _roles_of(here, NEWCOMER) == [annotated]


@in_virtual_time
async def test_where_it_is_trusted_counts_more_than_its_annotation() -> None:
    here = site(SimulatedIam(), *ROLES)
    home, annotated, _ = _order(here)
    _trust_externally(here, home, NEWCOMER)
    assert await here.grants.obtain(here.grant(NEWCOMER, annotated), PATIENCE) == Trusted(
        home, TrustSource.ALREADY
    )
    assert _roles_of(here, NEWCOMER) == [home]


@in_virtual_time
async def test_an_annotated_role_that_is_full_is_left_for_another() -> None:
    here = site(SimulatedIam(), *ROLES)
    first, second, _ = _order(here)
    _fill(here, second)
    assert await here.grants.obtain(here.grant(NEWCOMER, second), PATIENCE) == Trusted(first, TrustSource.WRITTEN)


@in_virtual_time
async def test_the_likely_role_is_the_one_that_it_gets_later() -> None:
    here = site(SimulatedIam(), *ROLES)
    _fill(here, _order(here)[0])
    await asyncio.gather(*(writer.wait_until_synced() for writer in here.writers.values()))
    for number in range(15):
        grant = here.grant(subject(number))
        likely = here.grants.likely_role(grant)
        outcome = await here.grants.obtain(grant, PATIENCE)
        assert isinstance(outcome, Trusted)
        assert outcome.role == likely


@in_virtual_time
async def test_while_iam_is_silent_the_annotation_names_the_first_choice_and_the_reason_is_reported() -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    iam.have(Trouble.THROTTLED)
    outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.THROTTLED
    assert here.grants.likely_role(here.grant(NEWCOMER)) == _order(here)[0]
    assert now() == PATIENCE


@pytest.mark.parametrize("place", [0, 1, 2])
@in_virtual_time
async def test_one_that_is_trusted_in_a_role_behind_a_proxys_page_is_not_trusted_in_a_second(place: int) -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    hidden = _order(here)[place]
    iam.edit(hidden, lambda document: document["Statement"].append(own_in(hidden).render([NEWCOMER])))
    iam.have(Trouble.UNEXPECTED, "read", role=hidden)
    outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.UNEXPECTED
    await asyncio.sleep(60)
    iam.recover()
    await asyncio.sleep(30)
    assert _roles_of(here, NEWCOMER) == [hidden]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("trouble", [Trouble.ACCESS_DENIED, Trouble.NOT_ALLOWED])
@in_virtual_time
async def test_a_role_that_needs_a_person_does_not_keep_others_from_theirs(place: int, trouble: Trouble) -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    broken = _order(here)[place]
    iam.have(trouble, "read", role=broken)
    right = next(one for one in _order(here) if one != broken)
    for _ in range(2):
        outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
        assert isinstance(outcome, Trusted)
        assert outcome.role == right
    assert here.grants.likely_role(here.grant(subject(8))) != broken
    assert now() < 1


@in_virtual_time
async def test_a_deleted_role_does_not_keep_others_from_theirs() -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    iam.delete(ROLES[1])
    outcomes = [await here.grants.obtain(here.grant(subject(number)), PATIENCE) for number in range(9)]
    assert {outcome.role for outcome in outcomes if isinstance(outcome, Trusted)} == {ROLES[0], ROLES[2]}
    assert all(isinstance(outcome, Trusted) for outcome in outcomes)


@in_virtual_time
async def test_an_annotated_role_that_cannot_be_read_is_reported_and_kept() -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    annotated = _order(here)[1]
    iam.have(Trouble.ACCESS_DENIED, "read", role=annotated)
    grant = here.grant(NEWCOMER, annotated)
    outcome = await here.grants.obtain(grant, PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert (outcome.role, outcome.kind) == (annotated, FailureKind.ACCESS_DENIED)
    assert here.grants.likely_role(grant) == annotated
    iam.recover()
    await asyncio.sleep(30)
    assert _roles_of(here, NEWCOMER) == [annotated]


@pytest.mark.parametrize("trouble", [Trouble.ACCESS_DENIED, Trouble.UNEXPECTED])
@in_virtual_time
async def test_when_no_role_can_be_read_the_reason_is_reported_at_once(trouble: Trouble) -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    iam.have(trouble, "read")
    for number in (1, 2):
        before = now()
        outcome = await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        assert isinstance(outcome, Untrusted)
        assert outcome.kind is SAID_AT_ONCE[trouble].kind
        assert now() < before + 1
    iam.recover()
    await asyncio.sleep(30)
    assert all(len(_roles_of(here, subject(number))) == 1 for number in (1, 2))


@in_virtual_time
async def test_a_deny_in_one_role_is_not_walked_around_through_another() -> None:
    here = site(SimulatedIam(), *ROLES)
    first = _order(here)[0]
    own = own_in(first)
    deny = {
        "Effect": "Deny",
        "Principal": {"Federated": own.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {own.subject_key: str(NEWCOMER)}},
    }
    here.iam.edit(first, lambda document: document["Statement"].append(deny))
    outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    assert isinstance(outcome, Untrusted)
    assert outcome.kind is FailureKind.DENIED_BY_POLICY
    assert _roles_of(here, NEWCOMER) == []


@in_virtual_time
async def test_a_subject_under_way_follows_the_annotation_that_another_replica_wrote() -> None:
    here = site(SimulatedIam(), *ROLES)
    chosen = _order(here)[2]
    for one in here.roles:
        await here.writers[one].wait_until_synced()
    refused = here.iam.have(Trouble.REFUSED, "write")
    asked = asyncio.create_task(here.grants.obtain(here.grant(NEWCOMER), seconds=60))
    await asyncio.sleep(5)
    here.grants.start(here.grant(NEWCOMER, annotated=chosen))
    refused.off()
    assert await asked == Trusted(chosen, TrustSource.WRITTEN)
    await asyncio.sleep(60)
    assert _roles_of(here, NEWCOMER) == [chosen]


@in_virtual_time
async def test_a_write_under_way_ends_though_the_annotation_names_another_role_now() -> None:
    here = site(SimulatedIam(latency=1.0), *ROLES)
    first, _, chosen = _order(here)
    for one in here.roles:
        await here.writers[one].wait_until_synced()
    asked = asyncio.create_task(here.grants.obtain(here.grant(NEWCOMER), PATIENCE))
    while not here.iam.made("write"):  # noqa: ASYNC110  in virtual time
        await asyncio.sleep(0.1)
    here.grants.start(here.grant(NEWCOMER, annotated=chosen))
    assert await asked == Trusted(first, TrustSource.WRITTEN)
    assert _roles_of(here, NEWCOMER) == [first]


def _fill(here: Site, one: RoleArn) -> None:
    """Leave no room for a subject more."""
    padding = {
        "Sid": "Padding" + "x" * 900,
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    here.iam.edit(one, lambda document: document["Statement"].append(padding))


@in_virtual_time
async def test_a_failure_of_one_role_does_not_end_the_wait_for_the_next() -> None:
    iam = SimulatedIam()
    here = site(iam, *ROLES)
    first, second = here.roles[:2]
    iam.have(Trouble.UNEXPECTED, "read", role=first, times=1)
    iam.have(Trouble.HANGS, "read", role=second)
    await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    await asyncio.sleep(2)
    iam.recover()
    outcome = await here.grants.obtain(here.grant(NEWCOMER), PATIENCE)
    assert isinstance(outcome, Trusted)
