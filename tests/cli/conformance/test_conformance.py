"""`conformance` against the stand-in: each row, each violation, each right, and each moment to interrupt it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import ACCOUNT, REGION, Refuse, Violation
from rig.space import EKS_CLUSTER
from tests.support.variants import variants
from webhook.cli.conformance import run
from webhook.cli.conformance.assumptions import ASSUMPTIONS
from webhook.cli.conformance.permissions import Scope, actions
from webhook.model.aws_errors import AwsError
from webhook.model.names import ClusterArn

if TYPE_CHECKING:
    from tests.cli.conformance.account import Account
    from webhook.cli.conformance.assumptions import Assumption

SCOPE = Scope("aws", ACCOUNT, ClusterArn(f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{EKS_CLUSTER}"))
BEFORE_ANYTHING_IS_MADE = {"DescribeCluster", "ListPodIdentityAssociations", "ListRoles"}


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


CALLS = sorted({one.rpartition(":")[2] for one in actions(SCOPE)} - {"PassRole"})


@pytest.mark.parametrize("assumption", variants(ASSUMPTIONS, *ASSUMPTIONS[::5]), ids=lambda one: one.id)
def test_a_violated_assumption_is_the_one_row_that_is_reported(account: Account, assumption: Assumption) -> None:
    before = account.contents()
    with account.aws.violating(Violation(assumption.id)):
        ran = account.conform()
    reported = {name: verdict for name, verdict in ran.verdicts().items() if verdict != "holds"}
    assert reported == {assumption.id: "violated"}, ran.result
    assert ran.row(assumption.id)["otherwise"] == assumption.otherwise
    assert ran.result["missingRights"] == []
    assert ran.code == 4
    assert account.contents() == before


@pytest.mark.parametrize("action", variants(CALLS, *CALLS[::4]))
def test_a_service_that_fails_is_not_observed_and_violates_nothing(
    account: Account, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(run, "READ_ATTEMPTS", 1)  # the SDK's own pauses take real time
    with account.aws.fault(Refuse(actions=(action,))):
        if action in BEFORE_ANYTHING_IS_MADE:
            with pytest.raises(AwsError, match=action):
                account.conform()
            return
        found = account.conform().verdicts().values()
    assert "violated" not in found
    assert action.startswith("Delete") or "not-observed" in found
