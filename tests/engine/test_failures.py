"""IAM fails: what may pass soon is waited for within the budget, anything else is reported at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, Site, external_document, own_in, pool, role, site, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.iam.role_writer import GATHERING
from webhook.model.aws_errors import FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted

if TYPE_CHECKING:
    from tests.support.simulated_iam import Document

ROLE = role()
OWN = own_in(ROLE)
DELETED = "AROAEXAMPLEEXAMPLE123"


async def _refused(here: Site, number: int = 1) -> Untrusted:
    outcome: Outcome = await here.grants.obtain(here.grant(subject(number)), PATIENCE)
    assert isinstance(outcome, Untrusted)
    return outcome


def _have_access_denied(iam: SimulatedIam) -> None:
    iam.have(Trouble.ACCESS_DENIED, "read", "write")


def _have_a_page(iam: SimulatedIam) -> None:
    iam.have(Trouble.UNEXPECTED)


def _have_no_role(iam: SimulatedIam) -> None:
    iam.delete(ROLE)


def _have_dangling_principal(iam: SimulatedIam) -> None:
    iam.edit(ROLE, lambda document: document["Statement"][0]["Principal"]["AWS"].append(DELETED))


def _have_no_policy_at_all(iam: SimulatedIam) -> None:
    iam.store(ROLE, {"Version": "2012-10-17", "Statement": ["this is no statement"]})


def _have_a_sid_that_is_no_string(iam: SimulatedIam) -> None:
    iam.edit(ROLE, lambda document: document["Statement"][0].update(Sid=None))


def _have_a_character_that_could_not_be_read(iam: SimulatedIam) -> None:
    iam.edit(ROLE, lambda document: document["Statement"][0].update(Sid="caf\ufffd"))


def _correct(iam: SimulatedIam) -> None:
    iam.recover()
    iam.store(ROLE, external_document(ROLE))


PERSONAL = [
    (_have_access_denied, FailureKind.ACCESS_DENIED, "not authorized"),
    (_have_a_page, FailureKind.UNEXPECTED, "HTTP 403"),
    (_have_no_role, FailureKind.NO_SUCH_ROLE, "mxp-backup"),
    (_have_dangling_principal, FailureKind.MALFORMED, f"{DELETED} in statement"),
    (_have_no_policy_at_all, FailureKind.MALFORMED, "not a list of objects"),
    (_have_a_sid_that_is_no_string, FailureKind.MALFORMED, "of the trust policy has a Sid that is not a string"),
    (_have_a_character_that_could_not_be_read, FailureKind.MALFORMED, "(Sid caf\ufffd) of the trust policy holds"),
]


@pytest.mark.parametrize(("trouble", "kind", "words"), PERSONAL)
@in_virtual_time
async def test_a_failure_that_needs_a_person_is_reported_at_once(trouble, kind, words) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    iam = SimulatedIam(latency=0.1)
    here = site(iam, ROLE)
    trouble(iam)
    refused = await _refused(here)
    assert (refused.role, refused.kind) == (ROLE, kind)
    assert words in refused.reason
    assert now() <= 0.2


@pytest.mark.parametrize(("trouble", "kind", "words"), PERSONAL)
@in_virtual_time
async def test_a_grant_asked_for_while_it_lasts_fails_at_once_too(trouble, kind, words) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    iam = SimulatedIam()
    here = site(iam, ROLE)
    trouble(iam)
    await _refused(here)
    await asyncio.sleep(100.123)
    before = now()
    refused = await _refused(here, 2)
    assert now() == before
    assert refused.kind is kind
    assert words in refused.reason


@pytest.mark.parametrize(("trouble", "kind", "words"), PERSONAL)
@in_virtual_time
async def test_after_a_person_corrected_it_all_are_trusted_within_half_a_minute(trouble, kind, words) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
    iam = SimulatedIam()
    here = site(iam, ROLE)
    trouble(iam)
    await _refused(here)
    await asyncio.sleep(3600)
    await _refused(here, 2)
    _correct(iam)
    await asyncio.sleep(30)
    assert here.trusted_in(ROLE) == {subject(1), subject(2)}


@in_virtual_time
async def test_the_place_of_a_deleted_principal_is_named() -> None:
    iam = SimulatedIam(reorders=False)
    here = site(iam, ROLE)
    _have_dangling_principal(iam)
    refused = await _refused(here)
    assert f"{DELETED} in statement 1 (Sid Operators)" in refused.reason
    assert "remove it" in refused.reason


@in_virtual_time
async def test_a_trusted_subject_has_no_bad_news_when_a_write_for_others_fails() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.edit(ROLE, lambda document: document["Statement"].append(OWN.render([subject(1)])))
    _have_dangling_principal(iam)
    old, new = await asyncio.gather(
        here.grants.obtain(here.grant(subject(1)), PATIENCE), here.grants.obtain(here.grant(subject(2)), PATIENCE)
    )
    assert old == Trusted(ROLE, TrustSource.ALREADY)
    assert isinstance(new, Untrusted)
    assert await here.grants.obtain(here.grant(subject(1)), PATIENCE) == old


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.REFUSED])
@pytest.mark.parametrize("operation", ["read", "write", "quota"])
@in_virtual_time
async def test_what_passes_soon_is_hoped_for_within_the_budget(trouble: Trouble, operation: str) -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(trouble, operation, times=2)
    outcome = await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert isinstance(outcome, Trusted)
    assert 0.4 < now() < PATIENCE


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.REFUSED, Trouble.HANGS])
@in_virtual_time
async def test_what_lasts_longer_than_the_budget_is_reported_then_and_trust_follows(trouble: Trouble) -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(trouble, "write")
    refused = await _refused(here)
    assert now() == PATIENCE
    assert refused.kind in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE, FailureKind.PENDING}
    await asyncio.sleep(600)
    iam.recover()
    await asyncio.sleep(30)
    assert here.trusts(ROLE, subject(1))


@in_virtual_time
async def test_a_grant_asked_for_while_iam_is_silent_has_the_reason() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.HANGS, "read")
    await _refused(here)
    await asyncio.sleep(60)
    before = now()
    refused = await _refused(here, 2)
    assert now() == before + PATIENCE
    assert refused.kind is FailureKind.UNAVAILABLE
    assert "timed out" in refused.reason


@pytest.mark.parametrize("size", [1, 3])
@in_virtual_time
async def test_an_unexpected_response_is_reported_at_once_and_trust_follows_when_it_is_over(size: int) -> None:
    iam, roles = SimulatedIam(latency=0.1), pool(size)
    here = site(iam, *roles)
    home = here.binding.roles_in_order(subject(1))[-1]
    iam.edit(home, lambda document: document["Statement"].append(own_in(home).render([subject(1)])))
    iam.have(Trouble.UNEXPECTED)
    for number in (1, 2):
        refused = await _refused(here, number)
        assert refused.kind is FailureKind.UNEXPECTED
        assert "not AWS's answer" in refused.reason
    assert now() <= 0.5
    await asyncio.sleep(60)
    iam.recover()
    await asyncio.sleep(30)
    assert [one for one in roles if here.trusts(one, subject(1))] == [home]  # no second role meanwhile
    assert any(here.trusts(one, subject(2)) for one in roles)


@pytest.mark.parametrize("size", [1, 3])
@in_virtual_time
async def test_a_grant_asked_for_before_iam_fell_silent_has_what_failed_last(size: int) -> None:
    iam, roles = SimulatedIam(), pool(size)
    here = site(iam, *roles)
    trouble = iam.have(Trouble.THROTTLED)
    here.grants.start(here.grant(subject(1)))
    await asyncio.sleep(5)
    trouble.off()
    iam.have(Trouble.HANGS)
    await asyncio.sleep(0.5)
    assert (await _refused(here)).kind in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE}


@in_virtual_time
async def test_iam_is_not_hammered_while_it_refuses() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.THROTTLED, "read")
    for number in range(100):
        here.grants.start(here.grant(subject(number)))
        await asyncio.sleep(6)
    assert len(iam.calls) < 110


@in_virtual_time
async def test_a_grant_asked_for_during_a_try_that_fails_does_not_cut_the_backoff_short() -> None:
    iam = SimulatedIam(latency=1.0)
    here = site(iam, ROLE)
    iam.have(Trouble.THROTTLED, "read")
    here.grants.start(here.grant(subject(1)))
    await asyncio.sleep(0.2)
    here.grants.start(here.grant(subject(2)))
    await asyncio.sleep(10)
    first, second = iam.made("read")[:2]
    assert second.started - first.ended >= 0.18


@in_virtual_time
async def test_bad_news_is_over_when_the_trouble_is() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.ACCESS_DENIED, "write", times=1)
    await _refused(here)
    await asyncio.sleep(30)
    assert isinstance(await here.grants.obtain(here.grant(subject(2)), PATIENCE), Trusted)


@in_virtual_time
async def test_a_full_policy_is_final_names_the_quota_and_is_not_tried_again() -> None:
    iam = SimulatedIam(limit=1500)
    here = site(iam, ROLE)
    outcomes = [await here.grants.obtain(here.grant(subject(number)), PATIENCE) for number in range(20)]
    refused = next(outcome for outcome in outcomes if isinstance(outcome, Untrusted))
    assert refused.kind is FailureKind.FULL
    assert "1500" in refused.reason
    assert "L-C07B4B0D" in refused.reason
    assert now() < 5
    assert all(call.outcome == "ok" for call in iam.calls)
    await asyncio.sleep(1)
    iam.calls.clear()
    await asyncio.sleep(600)
    assert iam.calls == []


@in_virtual_time
async def test_a_limit_that_iam_did_not_announce_is_final_too() -> None:
    iam = SimulatedIam(limit=1500, answered_limit=4096)
    here = site(iam, ROLE)
    refusals = 0
    for number in range(20):
        before = now()
        outcome = await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        assert now() - before < 0.2 + GATHERING
        refusals += isinstance(outcome, Untrusted)
    assert refusals
    assert len([call for call in iam.made("write") if call.outcome == "full"]) == 1
    await asyncio.sleep(600)
    assert len([call for call in iam.made("write") if call.outcome == "full"]) == 1
    assert len(here.trusted_in(ROLE)) == 20 - refusals


@in_virtual_time
async def test_a_document_that_iam_refused_for_its_size_is_not_sent_again() -> None:
    iam = SimulatedIam(limit=1500, answered_limit=4096)
    here = site(iam, ROLE)
    for number in range(20):
        here.grants.start(here.grant(subject(number)))
    await asyncio.sleep(600)
    refused = [call for call in iam.made("write") if call.outcome == "full"]
    assert len(refused) == 1


@in_virtual_time
async def test_room_that_was_made_is_used_by_the_next_grant() -> None:
    iam = SimulatedIam(limit=1500)
    here = site(iam, ROLE)
    for number in range(20):
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
    iam.limit = 4096
    assert isinstance(await here.grants.obtain(here.grant(subject(19)), PATIENCE), Trusted)


@in_virtual_time
async def test_a_protected_role_is_reported_once_and_not_tried_again_by_itself() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.NOT_ALLOWED, "write")
    assert (await _refused(here)).kind is FailureKind.NOT_ALLOWED
    await asyncio.sleep(600)
    assert len(iam.made("write")) == 1


@in_virtual_time
async def test_a_deny_that_wins_is_reported_with_its_place() -> None:
    iam = SimulatedIam(reorders=False)
    here = site(iam, ROLE)
    iam.edit(ROLE, lambda document: document["Statement"].insert(1, _denial()))
    refused = await _refused(here)
    assert refused.kind is FailureKind.DENIED_BY_POLICY
    assert "statement 2 (Sid NotThisOne)" in refused.reason
    assert iam.made("write") == []


@pytest.mark.parametrize("trouble", [Trouble.ANSWER_LOST, Trouble.FAILS_AFTERWARDS])
@in_virtual_time
async def test_a_write_whose_answer_was_lost_counts_once_it_is_seen(trouble: Trouble) -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(trouble, "write", times=1)
    outcome = await here.grants.obtain(here.grant(subject(1)), 10)
    assert outcome == Trusted(ROLE, TrustSource.ALREADY)
    assert len(iam.made("write")) == 1


@pytest.mark.parametrize("trouble", [Trouble.HANGS, Trouble.APPLIED_LATE])
@in_virtual_time
async def test_no_subject_counts_as_trusted_before_iam_has_the_write(trouble: Trouble) -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(trouble, "write", times=1)
    assert isinstance(await here.grants.obtain(here.grant(subject(1)), 10), Trusted)
    assert here.trusts(ROLE, subject(1))


@in_virtual_time
async def test_a_write_that_takes_effect_after_newer_ones_is_repaired_by_the_next_passes() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    iam.have(Trouble.APPLIED_LATE, "write", times=1)
    for number in range(1, 4):
        here.wanted[ROLE].append(subject(number))
        here.grants.start(here.grant(subject(number)))
        await asyncio.sleep(1.5)
    await asyncio.sleep(10)
    for _ in range(3):
        here.grants.enqueue()
        await asyncio.sleep(60)
    assert here.trusted_in(ROLE) == {subject(1), subject(2), subject(3)}


def _denial() -> Document:
    condition = {"StringLike": {OWN.subject_key: "system:serviceaccount:mxp-*"}}
    return {
        "Sid": "NotThisOne",
        "Effect": "Deny",
        "Principal": {"Federated": OWN.provider_arn},
        "Action": "sts:*",
        "Condition": condition,
    }
