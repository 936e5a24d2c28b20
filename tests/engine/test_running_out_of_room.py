"""A trust policy that fills up: people hear of it before, and at the end what they can do."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.support.samples import sample
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, Site, own_in, pool, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.iam.policy_cache import EffectiveQuota
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Trusted, TrustSource, Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.support.simulated_iam import Document
    from webhook.model.names import RoleArn

ROLE = role()


@pytest.fixture
def said() -> Iterator[list[MutableMapping[str, Any]]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with structlog.testing.capture_logs() as lines:
        yield lines


async def _trust(here: Site, *numbers: int) -> None:
    for number in numbers:
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        await asyncio.sleep(1)


def _warnings(said: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [line for line in said if line["event"] == "trust_policy_nearly_full"]


def _gauge() -> float | None:
    return sample("mxp_identity_trust_subjects_that_fit", {"role_arn": ROLE.value})


@in_virtual_time
async def test_the_gauge_counts_down_to_none() -> None:
    here = site(SimulatedIam(limit=1500), ROLE)
    await _trust(here, 0)
    left = _gauge()
    assert left
    for number in range(1, int(left) + 1):
        await _trust(here, number)
        assert _gauge() == left - number
    assert isinstance(await here.grants.obtain(here.grant(subject(99)), PATIENCE), Untrusted)


@in_virtual_time
async def test_a_policy_that_passes_four_fifths_of_its_quota_is_reported_once(
    said: list[MutableMapping[str, Any]],
) -> None:
    iam = SimulatedIam(limit=2048)
    here = site(iam, ROLE)
    for number in range(20):
        await _trust(here, number)
        characters = TrustPolicy(here.iam.document(ROLE)).size()
        assert bool(_warnings(said)) == (characters > 0.8 * 2048)
    (warning,) = _warnings(said)
    assert warning["log_level"] == "warning"
    assert warning["role_arn"] == ROLE.value
    assert 0.8 * 2048 < warning["characters"] < 2048
    assert warning["quota_characters"] == 2048
    assert warning["subjects_that_fit"] > 0
    assert "L-C07B4B0D" in warning["reason"]


@in_virtual_time
async def test_a_policy_that_is_emptied_and_fills_up_again_is_reported_again(
    said: list[MutableMapping[str, Any]],
) -> None:
    iam = SimulatedIam(limit=1500)
    here = site(iam, ROLE)
    await _trust(here, *range(9))
    assert len(_warnings(said)) == 1
    await asyncio.sleep(100)
    iam.edit(ROLE, lambda document: document["Statement"].clear())
    here.grants.enqueue()
    await asyncio.sleep(100)
    await _trust(here, *range(20, 35))
    assert len(_warnings(said)) == 2


@in_virtual_time
async def test_no_subject_is_refused_for_room_that_a_failed_write_did_not_take() -> None:
    """The write of another replica may come first, and have room for the one and not for the other."""
    here = site(SimulatedIam(limit=1500, latency=0.5), ROLE)
    await _trust(here, 0)
    await _trust(here, *range(1, int(_gauge() or 0)))
    assert _gauge() == 1
    switch = here.iam.have(Trouble.THROTTLED, "write", times=1)
    asked = [here.grants.obtain(here.grant(subject(number)), PATIENCE) for number in (200, 201)]
    outcomes = asyncio.gather(*asked)
    while switch.times:  # noqa: ASYNC110  the time is virtual
        await asyncio.sleep(0.05)
    here.iam.limit = 2048
    assert all(isinstance(outcome, Trusted) for outcome in await outcomes)
    assert here.trusted_in(ROLE) >= {subject(200), subject(201)}


@in_virtual_time
async def test_when_every_role_of_a_pool_is_full_the_refusal_names_the_ways_out() -> None:
    here = site(SimulatedIam(limit=1500), *pool(3))
    outcomes = [await here.grants.obtain(here.grant(subject(number)), PATIENCE) for number in range(40)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Untrusted)]
    assert {refusal.kind for refusal in refusals} == {FailureKind.FULL}
    for words in ("all 3 roles of binding backup", "L-C07B4B0D", "add a role", "EKS Pod Identity"):
        assert words in refusals[-1].reason
    last = here.grant(subject(39))
    assert refusals[-1].role == here.grants.likely_role(last) == here.binding.roles_in_order(subject(39))[0]


@in_virtual_time
async def test_a_damaged_statement_whose_room_others_have_filled_is_reported_and_not_sent_over_the_quota(
    said: list[MutableMapping[str, Any]],
) -> None:
    here = site(SimulatedIam(), ROLE)
    crowd = [subject(number) for number in range(5)]
    await asyncio.gather(*(here.grants.obtain(here.grant(account), PATIENCE) for account in crowd))
    here.iam.edit(ROLE, _fill_the_room_of_the_audience)
    writes = len(here.iam.made("write"))
    await asyncio.sleep(100)
    here.grants.enqueue()
    await asyncio.sleep(100)
    assert len(here.iam.made("write")) == writes
    assert {line["outcome"] for line in said if line["event"] == "trust_not_written"} == {"full"}


@in_virtual_time
async def test_a_role_that_cannot_be_written_for_want_of_room_keeps_no_subject_from_the_next_of_the_pool() -> None:
    first, second = pool(2)
    before = site(SimulatedIam(), first, second)
    crowd = [subject(number) for number in range(5)]
    await asyncio.gather(*(before.writers[first].submit(account).settled for account in crowd))
    before.iam.edit(first, lambda document: _fill_the_room_of_the_audience(document, first))
    here = Site(before.iam, first, second, name="restarted")
    newcomer = next(
        account for account in map(subject, range(100, 200)) if here.binding.roles_in_order(account)[0] == first
    )
    outcome = await here.grants.obtain(here.grant(newcomer), PATIENCE)
    assert outcome == Trusted(second, TrustSource.WRITTEN)


def test_what_iam_refuses_never_raises_the_quota_that_an_earlier_refusal_has_shown() -> None:
    """A policy over the quota is written smaller: then a larger document may be refused after a smaller one."""
    quota = EffectiveQuota()
    quota.answered(4096)
    for size in (1000, 3000):
        quota.refused(size)
        quota.answered(4096)
    assert quota.characters == 999
    quota.answered(8192)
    assert quota.characters == 8192


def _fill_the_room_of_the_audience(document: Document, role: RoleArn = ROLE) -> None:
    own = own_in(role)
    ours = next(one for one in document["Statement"] if own.owns(one))
    del ours["Condition"]["StringEquals"][own.audience_key]
    statement = {"Sid": "", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document["Statement"].append(statement)
    statement["Sid"] = "Filling" + "x" * (2048 - 7 - TrustPolicy(document).size())


@in_virtual_time
async def test_the_last_room_is_for_a_subject_that_a_stale_read_lacks_and_not_for_a_newcomer() -> None:
    here = site(SimulatedIam(), ROLE)
    first = subject(1)
    here.wanted[ROLE].append(first)
    await here.grants.obtain(here.grant(first), PATIENCE)
    await asyncio.sleep(1)
    here.iam.limit = here.iam.answered_limit = TrustPolicy(here.iam.document(ROLE)).size()
    await asyncio.sleep(100)
    here.iam.edit(ROLE, _take_ours_out)
    outcome = await here.grants.obtain(here.grant(subject(2)), PATIENCE)
    assert isinstance(outcome, Untrusted)
    await asyncio.sleep(1)
    assert here.trusted_in(ROLE) == {first}


def _take_ours_out(document: Document) -> None:
    document["Statement"] = [one for one in document["Statement"] if not own_in(ROLE).owns(one)]
