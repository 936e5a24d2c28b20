"""`conformance` against the stand-in: each row, each violation, each right, and each moment to interrupt it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import Violation
from webhook.cli.conformance.assumptions import ASSUMPTIONS

if TYPE_CHECKING:
    from tests.cli.conformance.account import Account


def test_the_stand_in_behaves_as_is_assumed_and_nothing_is_left(account: Account) -> None:
    before = account.contents()
    ran = account.conform()
    assert ran.verdicts() == {one.id: "holds" for one in ASSUMPTIONS}, ran.result
    assert (ran.code, ran.result["notRemoved"]) == (0, [])
    assert account.contents() == before


def test_there_is_a_switch_for_each_assumption_and_no_other() -> None:
    assert [one.id for one in ASSUMPTIONS] == [
        one for one in (row.id for row in ASSUMPTIONS) if one in set(Violation)
    ]
    assert {one.id for one in ASSUMPTIONS} == set(Violation)


@pytest.mark.parametrize("violation", Violation)
def test_a_violated_assumption_is_the_one_row_that_is_reported(account: Account, violation: Violation) -> None:
    before = account.contents()
    with account.aws.violating(violation):
        ran = account.conform()
    assert {name: found for name, found in ran.verdicts().items() if found != "holds"} == {
        violation.value: "violated"
    }, ran.result
    assert ran.code == 4
    assert account.contents() == before
