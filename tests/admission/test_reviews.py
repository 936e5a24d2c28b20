"""What the creator of a ServiceAccount gets, over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.reviews import UID, annotated, review, reviewing
from tests.support.simulated_iam import Trouble
from tests.support.sites import pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, World, labelled
from webhook.admission.routes import MARGIN
from webhook.model.bindings import Mode

ROLE = role()
SUBJECT = subject(1)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"


def _world(*bindings: Any, **how: Any) -> World:
    world = World(*bindings, **how)
    world.cluster.add_namespace(SUBJECT.namespace)
    return world


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
@in_virtual_time
async def test_a_service_account_is_annotated_and_trusted_before_it_exists(operation: str) -> None:
    world = _world()
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, operation=operation))
    assert reply.status == 200
    assert reply.response["uid"] == UID
    assert reply.allowed
    assert reply.annotation == ROLE.value
    assert reply.warnings == []
    assert reply.response["auditAnnotations"] == {"binding": "backup", "role": ROLE.value, "trust": "written"}
    assert world.homes(SUBJECT) == [ROLE]


@in_virtual_time
async def test_other_annotations_stay_and_only_additions_are_sent() -> None:
    async with reviewing(_world()) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations={"a": "b"}))
    assert [(one["op"], one["path"]) for one in reply.patch] == [
        ("add", "/metadata/annotations/eks.amazonaws.com~1role-arn")
    ]


@in_virtual_time
async def test_a_second_round_changes_nothing_more() -> None:
    world = _world()
    async with reviewing(world) as reviewer:
        first = await reviewer.send(review(SUBJECT))
        await asyncio.sleep(1)
        calls = len(world.iam.calls)
        again = await reviewer.send(review(SUBJECT, annotations=annotated(first.annotation or "")))
    assert again.patch == []
    assert "patchType" not in again.response
    assert len(world.iam.calls) == calls


@in_virtual_time
async def test_an_update_that_strips_the_annotation_gets_it_back() -> None:
    async with reviewing(_world()) as reviewer:
        await reviewer.send(review(SUBJECT))
        reply = await reviewer.send(review(SUBJECT, operation="UPDATE", annotations={}))
    assert reply.annotation == ROLE.value


@in_virtual_time
async def test_a_dry_run_gets_the_same_patch_and_touches_nothing() -> None:
    world = _world()
    async with reviewing(world) as reviewer:
        dry = await reviewer.send(review(SUBJECT, dry_run=True))
        await asyncio.sleep(60)
        assert world.iam.calls == []
        assert world.events.written == []
        real = await reviewer.send(review(SUBJECT))
    assert dry.patch == real.patch
    assert dry.allowed


@in_virtual_time
async def test_a_dry_run_while_aws_is_away_starts_nothing_and_reports_nothing() -> None:
    world = _world()
    world.iam.have(Trouble.HANGS)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT, dry_run=True))
        await asyncio.sleep(60)
    assert reply.annotation == ROLE.value
    assert reply.warnings == []
    assert world.events.written == []
    assert world.iam.calls == []


@in_virtual_time
async def test_a_dry_run_of_a_pool_names_the_role_that_the_real_one_gets() -> None:
    world = _world(labelled(*pool(3)))
    async with reviewing(world) as reviewer:
        for number in range(12):
            account = subject(number)
            world.cluster.add_namespace(account.namespace)
            dry = await reviewer.send(review(account, dry_run=True))
            real = await reviewer.send(review(account))
            assert dry.patch == real.patch
            assert [one.value for one in world.homes(account)] == [real.annotation]


@in_virtual_time
async def test_the_answer_comes_within_the_budget_and_the_work_goes_on() -> None:
    world = _world()
    world.iam.have(Trouble.HANGS)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
        assert now() == pytest.approx(BUDGET, abs=0.001)
        assert reply.allowed
        assert reply.annotation == ROLE.value
        assert any(ROLE.value in warning for warning in reply.warnings)
        assert any("no restart is needed" in warning for warning in reply.warnings)
        assert world.events.reasons() == ["TrustPending"]
        world.iam.recover()
        await asyncio.sleep(30)
        assert world.homes(SUBJECT) == [ROLE]


@pytest.mark.parametrize(
    ("said", "answered"), [("30s", BUDGET), ("3s", 3 - MARGIN), ("2s", 2 - MARGIN), ("1s", 0.5)]
)
@in_virtual_time
async def test_the_api_servers_own_timeout_wins_where_it_is_shorter(said: str, answered: float) -> None:
    world = _world()
    world.iam.have(Trouble.HANGS)
    async with reviewing(world) as reviewer:
        await reviewer.send(review(SUBJECT), path=f"/mutate?timeout={said}")
    assert now() == pytest.approx(answered, abs=0.001)


@in_virtual_time
async def test_looking_up_the_namespace_counts_against_the_budget() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster._latency = 2.0  # noqa: SLF001
    world.iam.have(Trouble.HANGS)
    async with reviewing(world) as reviewer:
        await reviewer.send(review(SUBJECT))
    assert now() == pytest.approx(BUDGET, abs=0.001)


@in_virtual_time
async def test_a_failure_is_reported_at_once_with_role_and_reason_in_few_words() -> None:
    world = _world()
    world.iam.have(Trouble.ACCESS_DENIED)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert now() < 1
    assert reply.allowed
    assert reply.annotation == ROLE.value
    assert ROLE.value in reply.warnings[0]
    assert "not authorized" in reply.warnings[1]
    assert reply.response["auditAnnotations"]["trust"] == "access_denied"


@in_virtual_time
async def test_warnings_are_short_however_long_the_reason_is() -> None:
    long_role = role("r" * 64)
    world = _world(labelled(long_role))
    deleted = [f"AROA{number:017d}" for number in range(10)]
    world.iam.edit(long_role, lambda document: document["Statement"][0]["Principal"].update(AWS=deleted))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert len(reply.warnings) == 2
    assert long_role.value in reply.warnings[0]
    assert len(reply.warnings[1]) == 256
    assert deleted[9] in reply.response["auditAnnotations"]["reason"]


@pytest.mark.parametrize(
    "annotation", [f"{ROLE.value}\n", f"\t{EXTERNAL_ROLE}", "two\nlines", "\x1b[31mred", "\x7f"]
)
@in_virtual_time
async def test_warnings_carry_no_control_characters_which_api_servers_drop(annotation: str) -> None:
    async with reviewing(_world()) as reviewer:
        reply = await reviewer.send(review(SUBJECT, annotations=annotated(annotation)))
    assert len(reply.warnings) == 1
    assert reply.warnings[0].isprintable()
    assert "is not a role of binding backup" in reply.warnings[0]


@in_virtual_time
async def test_where_trust_is_required_an_untrusted_one_is_refused_for_now() -> None:
    world = _world(refuses=True)
    world.iam.have(Trouble.ACCESS_DENIED)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
        assert reply.status == 200
        assert not reply.allowed
        assert reply.response["status"]["code"] == 503
        assert ROLE.value in reply.response["status"]["message"]
        assert "not authorized" in reply.response["status"]["message"]
        assert reply.patch == []
        world.iam.recover()
        await asyncio.sleep(30)
        assert (await reviewer.send(review(SUBJECT))).allowed


@in_virtual_time
async def test_where_trust_is_required_a_trusted_one_is_allowed() -> None:
    async with reviewing(_world(refuses=True)) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert reply.allowed
    assert reply.annotation == ROLE.value


@in_virtual_time
async def test_mode_annotate_answers_without_aws() -> None:
    world = _world(labelled(mode=Mode.ANNOTATE))
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(review(SUBJECT))
    assert reply.annotation == ROLE.value
    assert reply.response["auditAnnotations"]["trust"] == "unmanaged"
    assert world.iam.calls == []
