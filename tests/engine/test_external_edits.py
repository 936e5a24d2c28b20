"""Other people edit the same document: theirs stays, ours is put back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.support.invariants import assert_statement_is_whole, assert_writes_were_careful, external_part
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import PATIENCE, SERVICE_ACCOUNT, Site, external_document, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.coordination.lock import REMEMBERED
from webhook.iam.evaluation import as_list
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from tests.support.simulated_iam import Document

    Lines = list[MutableMapping[str, Any]]

ROLE = role()
OWN = own_in(ROLE)
BOTH = [subject(1), subject(2)]


@pytest.fixture
def said() -> Iterator[Lines]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with structlog.testing.capture_logs() as lines:
        yield lines


def _ours(document: Document) -> dict[str, Any]:
    return next(one for one in as_list(document["Statement"]) if OWN.owns(one))


def _remove_statement(document: Document) -> None:
    document["Statement"].remove(_ours(document))


def _drop_audience(document: Document) -> None:
    del _ours(document)["Condition"]["StringEquals"][OWN.audience_key]


def _drop_subject(document: Document) -> None:
    _ours(document)["Condition"]["StringEquals"][OWN.subject_key] = str(subject(2))


def _drop_condition(document: Document) -> None:
    del _ours(document)["Condition"]


def _widen(document: Document) -> None:
    condition = _ours(document)["Condition"]
    condition["StringLike"] = {OWN.subject_key: "system:serviceaccount:*"}
    del condition["StringEquals"][OWN.subject_key]


def _add_stranger_twice(document: Document) -> None:
    document["Statement"].append({**_ours(document), "Principal": {"AWS": "arn:aws:iam::123456789012:root"}})


def _turn_into_deny(document: Document) -> None:
    _ours(document)["Effect"] = "Deny"


async def _settled() -> tuple[SimulatedIam, Site]:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.wanted[ROLE] = BOTH
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    return iam, here


@pytest.mark.parametrize(
    "edit",
    [
        _remove_statement,
        _drop_audience,
        _drop_subject,
        _drop_condition,
        _widen,
        _add_stranger_twice,
        _turn_into_deny,
    ],
)
@pytest.mark.parametrize("waited", [5.0, REMEMBERED + 5.0])
@in_virtual_time
async def test_a_hand_edit_of_our_statement_is_put_back(edit: Callable[[Document], None], waited: float) -> None:
    iam, here = await _settled()
    whole = iam.document(ROLE)
    await asyncio.sleep(waited)
    iam.edit(ROLE, edit)
    here.grants.enqueue()
    await asyncio.sleep(1 if waited > REMEMBERED else REMEMBERED + 20)
    assert TrustPolicy(iam.document(ROLE)).same_meaning(TrustPolicy(whole))
    assert_statement_is_whole(iam.document(ROLE), OWN)
    assert len(iam.made("write")) == 2


REPORTED: dict[Callable[[Document], None], str] = {
    _turn_into_deny: "our statement was changed externally: Effect",
    _drop_audience: "our statement was changed externally: Condition",
    _widen: "our statement was changed externally: Condition",
    _drop_subject: "our statements, or subjects in them, were changed or removed externally",
    _remove_statement: "our statements, or subjects in them, were changed or removed externally",
}


@pytest.mark.parametrize("edit", REPORTED)
@in_virtual_time
async def test_the_log_says_which_part_of_our_statement_was_edited(
    edit: Callable[[Document], None], said: Lines
) -> None:
    iam, here = await _settled()
    await asyncio.sleep(REMEMBERED + 5)
    iam.edit(ROLE, edit)
    here.grants.enqueue()
    await asyncio.sleep(1)
    assert _repairs(said) == [REPORTED[edit]]


@in_virtual_time
async def test_an_edit_is_reported_too_where_a_new_process_finds_it_or_a_grant_repairs_it(
    said: Lines,
) -> None:
    iam, _ = await _settled()
    iam.edit(ROLE, _turn_into_deny)
    another = Site(iam, ROLE, name="b")
    another.wanted[ROLE] = BOTH
    await another.grants.obtain(another.grant(subject(3)), PATIENCE)
    assert _repairs(said) == [REPORTED[_turn_into_deny]]
    assert another.trusted_in(ROLE) == {*BOTH, subject(3)}


@in_virtual_time
async def test_a_write_that_only_adds_a_subject_is_reported_as_no_repair(said: Lines) -> None:
    _, here = await _settled()
    await here.grants.obtain(here.grant(subject(3)), PATIENCE)
    assert _repairs(said) == []


def _repairs(said: Lines) -> list[str]:
    return [line["reason"] for line in said if line["event"] == "trust_repaired"]


@in_virtual_time
async def test_an_external_edit_between_two_grants_is_kept() -> None:
    iam, here = await _settled()
    new = {
        "Sid": "New",
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    await asyncio.sleep(5)
    iam.edit(ROLE, lambda document: document["Statement"].insert(0, new))
    await here.grants.obtain(here.grant(subject(3)), PATIENCE)
    assert new in iam.document(ROLE)["Statement"]
    assert here.trusted_in(ROLE) == {*BOTH, subject(3)}


@in_virtual_time
async def test_external_statements_are_the_same_in_every_document() -> None:
    iam, here = await _settled()
    for number in range(3, 9):
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        await asyncio.sleep(7)
    parts = {external_part(document, OWN) for document in iam.history(ROLE)}
    assert parts == {external_part(external_document(ROLE), OWN)}
    assert_writes_were_careful(iam, own_in, {*BOTH, *(subject(number) for number in range(3, 9))})


@in_virtual_time
async def test_an_external_statement_for_our_own_cluster_gets_no_subject_of_ours() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    by_hand = {**OWN.render([Subject("made-by-hand", SERVICE_ACCOUNT)]), "Sid": "ByHand"}
    iam.edit(ROLE, lambda document: document["Statement"].append(by_hand))
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert_writes_were_careful(iam, own_in, [subject(1)])
    assert here.trusted_in(ROLE) == {subject(1)}


@in_virtual_time
async def test_where_no_subject_is_wanted_a_pass_adds_no_statement_of_ours() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    here.grants.enqueue()
    await asyncio.sleep(60)
    assert_statement_is_whole(iam.document(ROLE), OWN)
    assert iam.made("write") == []


@in_virtual_time
async def test_a_policy_with_one_statement_as_an_object_gets_ours_beside_it() -> None:
    iam = SimulatedIam()
    here = site(iam, ROLE)
    lone = external_document(ROLE)["Statement"][0]
    iam.store(ROLE, {"Statement": lone})
    await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    assert lone["Sid"] in {one["Sid"] for one in iam.document(ROLE)["Statement"]}
    assert here.trusts(ROLE, subject(1))
    assert "Version" not in iam.document(ROLE)


@in_virtual_time
async def test_two_clusters_that_share_a_role_keep_each_others_statement() -> None:
    iam, here = await _settled()
    neighbour = external_document(ROLE)["Statement"][1]
    for number in range(3, 9):
        await here.grants.obtain(here.grant(subject(number)), PATIENCE)
        await asyncio.sleep(1)
    found = [one for one in iam.document(ROLE)["Statement"] if one["Sid"] == neighbour["Sid"]]
    assert TrustPolicy({"Statement": found}).same_meaning(TrustPolicy({"Statement": neighbour}))
