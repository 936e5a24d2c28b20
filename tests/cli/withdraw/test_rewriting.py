"""A role's policy rewritten over the simulated IAM: what goes wrong costs no access, and nothing external."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.invariants import external_part
from tests.support.locks import InProcessLock, MemoryLeases
from tests.support.simulated_iam import SAID_AT_ONCE, SimulatedIam, Trouble
from tests.support.sites import external_document, own_in, role, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.cli.withdraw.rewriting import Rewriting
from webhook.coordination.lock import LeaseLock
from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from webhook.coordination.lock import RoleLock

ROLE, OWN = role(), own_in(role())
FEW = frozenset(subject(number) for number in range(3))
PLAIN = f"KeptAccess{OWN.sid[-8:]}"


def account(**options: Any) -> SimulatedIam:
    """A role with external statements, and ours between them."""
    iam = SimulatedIam(**options)
    document = external_document(ROLE)
    first, second = document["Statement"]
    iam.store(ROLE, {**document, "Statement": [first, OWN.render(FEW), second]})
    return iam


async def rewrite(
    iam: SimulatedIam, *, keeps: bool = True, lock: RoleLock | None = None, wanted: frozenset[Any] = FEW
) -> str:
    policies = iam.client("withdraw")
    return await Rewriting(ROLE, OWN, wanted, keeps=keeps).until_shown(policies, lock or InProcessLock())


def allowed_in(document: dict[str, Any]) -> set[int]:
    """The numbers of the subjects that a document allows, whichever statement does."""
    effects = TrustPolicy(document).effects_on
    other = own_in(role("other"))
    nothing_is_ours = type(OWN)("None", OWN.provider_arn, other.issuer)
    return {number for number in range(5) if effects(nothing_is_ours, subject(number)).grant is not None}


TROUBLES = [None, Trouble.THROTTLED, Trouble.REFUSED, Trouble.FAILS_AFTERWARDS, Trouble.ANSWER_LOST, Trouble.HANGS]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("stale", [0.0, 20.0])
@in_virtual_time
async def test_whatever_becomes_of_a_write_no_document_lacks_access_or_an_external_statement(
    trouble: Trouble | None, stale: float
) -> None:
    iam = account(stale=stale)
    await asyncio.sleep(30)
    if trouble:
        iam.have(trouble, "write", times=2)
    assert await rewrite(iam) == ""
    for document in iam.history(ROLE):
        assert allowed_in(document) == {0, 1, 2}
        rest = {**document, "Statement": [one for one in document["Statement"] if one.get("Sid") != PLAIN]}
        assert external_part(rest, OWN) == external_part(external_document(ROLE), OWN)
    assert [one["Sid"] for one in iam.document(ROLE)["Statement"] if "Sid" in one].count(PLAIN) == 1
    assert all(put.call_before == "read" for put in iam.puts)


@in_virtual_time
async def test_a_write_that_reads_do_not_show_yet_is_not_sent_again_and_again() -> None:
    iam = account(stale=20.0)
    await asyncio.sleep(30)
    began = now()
    assert await rewrite(iam) == ""
    assert len(iam.puts) == 1
    assert now() - began >= 20, "done means that IAM shows it"


@pytest.mark.parametrize("trouble", [Trouble.ACCESS_DENIED, Trouble.NOT_ALLOWED, Trouble.UNEXPECTED])
@in_virtual_time
async def test_what_only_a_person_can_correct_ends_it_with_the_reason(trouble: Trouble) -> None:
    iam = account()
    iam.have(trouble, "write")
    assert await rewrite(iam) == str(SAID_AT_ONCE[trouble])
    assert len(iam.puts) == 1


@in_virtual_time
async def test_throttled_for_ever_it_ends_after_two_minutes_with_the_reason() -> None:
    iam = account()
    iam.have(Trouble.THROTTLED)
    assert await rewrite(iam) == "Throttling: Rate exceeded"
    assert now() == pytest.approx(120, abs=5)


@pytest.mark.parametrize("failures", [0, 2])
@in_virtual_time
async def test_a_read_that_is_too_old_for_the_last_grant_does_not_drop_it(failures: int) -> None:
    """A replica has written 0, 1 and 2 and ended; reads still show 1 and 2. The Lease knows more."""
    iam, leases = account(stale=5.0), MemoryLeases()
    await asyncio.sleep(30)
    document = iam.document(ROLE)
    new = FEW | {subject(3)}
    iam.store(ROLE, {**document, "Statement": [OWN.render(new), *external_document(ROLE)["Statement"]]})
    leases.forge(ROLE, {subject(3): 0.5, subject(4): 0.5})
    iam.have(Trouble.THROTTLED, "write", times=failures)
    assert await rewrite(iam, lock=LeaseLock(leases, "withdraw"), wanted=new) == ""
    assert allowed_in(iam.document(ROLE)) == {0, 1, 2, 3}, "and no binding wants 4"


@in_virtual_time
async def test_a_statement_that_was_changed_since_the_plan_is_left_alone() -> None:
    iam = account()

    def loosen(document: dict[str, Any]) -> None:
        for one in document["Statement"]:
            if one.get("Sid") == OWN.sid:
                one["Condition"] = {}

    iam.edit(ROLE, loosen)
    assert "was changed externally" in await rewrite(iam)
    assert iam.puts == []
    assert await rewrite(iam, keeps=False) == ""
    assert allowed_in(iam.document(ROLE)) == set()


@in_virtual_time
async def test_a_deleted_principal_is_named_with_its_place() -> None:
    iam = account()
    gone = {"Effect": "Allow", "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE123"}, "Action": "sts:AssumeRole"}
    iam.edit(ROLE, lambda document: document["Statement"].append(gone))
    assert "AIDAEXAMPLEEXAMPLE123 in statement" in await rewrite(iam)


@in_virtual_time
async def test_cut_off_it_ends_its_write_first_and_the_next_run_finds_nothing_to_do() -> None:
    iam = account(latency=2.0)
    work = asyncio.ensure_future(rewrite(iam))
    await asyncio.sleep(5)
    assert [call.outcome for call in iam.made("write")] == ["on its way"]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [call.outcome for call in iam.made("write")] == ["ok"]
    assert await rewrite(iam) == ""
    assert len(iam.puts) == 1
