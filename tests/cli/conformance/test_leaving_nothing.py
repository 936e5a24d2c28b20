"""Whatever ends a run of `conformance`, what it made is removed; what cannot be removed is listed."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest

from rig.aws import Deny, FailAfterwards, Hang, LoseAnswer
from rig.space import EKS_CLUSTER
from tests.cli.commands import start
from tests.cli.setup.accounts import account_of
from tests.support.variants import variants

if TYPE_CHECKING:
    from tests.cli.conformance.account import Account

PARTS = variants(range(4))
"""Each has every fourth step."""

MAKING = ("CreateRole", "PutRolePolicy", "CreatePodIdentityAssociation")
ROLE = "mxp-identity-conformance-0badcafe"


@pytest.mark.parametrize("part", PARTS)
def test_interrupted_at_each_of_its_steps_in_turn_it_leaves_nothing(account: Account, part: int) -> None:
    before = account.contents()
    steps = account.conform(watch=0).steps
    for number in range(part, len(steps), len(PARTS)):
        with pytest.raises(asyncio.CancelledError):
            account.conform(interrupted_at=number, watch=0)
        assert account.contents() == before, steps[number]
        assert "not removed" not in account.printed.readouterr().err
    assert len(steps) > 50


@pytest.mark.parametrize("ending", variants([signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize("action", variants(MAKING))
def test_a_signal_while_something_is_being_made(account: Account, action: str, ending: signal.Signals) -> None:
    before = account.contents()
    env = {**account.aws.environment(base={"PATH": "/usr/bin:/bin"}), "KUBECONFIG": str(account.kubeconfig)}
    with account.aws.fault(Hang(actions=(action,), applied=True)) as hanging:
        process = start("conformance", "--cluster", EKS_CLUSTER, "--watch", "0", "--approve", env=env)
        account.aws.wait_until(lambda: action in account.aws.in_flight, timeout=60)
        process.send_signal(ending)
        account.aws.switch_off(hanging)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert "not removed" not in err
    assert account.contents() == before


@pytest.mark.parametrize("action", MAKING)
@pytest.mark.parametrize("fault", [LoseAnswer, FailAfterwards])
def test_what_was_made_without_an_answer_is_removed(
    account: Account, action: str, fault: type[LoseAnswer | FailAfterwards]
) -> None:
    before = account.contents()
    with account.aws.fault(fault(actions=(action,))):
        ran = account.conform()
    assert "not-observed" in ran.verdicts().values()
    assert account.contents() == before


def test_a_request_that_the_sdk_sends_twice_because_an_answer_is_lost_is_no_failure(account: Account) -> None:
    before = account.contents()
    for action in MAKING:
        account.aws.switch_on(LoseAnswer(actions=(action,), times=1))
    ran = account.conform()
    assert set(ran.verdicts().values()) == {"holds"}, ran.result
    assert account.contents() == before


def test_what_cannot_be_removed_is_listed_with_its_command_and_the_next_run_removes_it(account: Account) -> None:
    before = account.contents()
    with account.aws.fault(Deny(actions=("DeleteRole", "DeletePodIdentityAssociation"))):
        ran = account.conform()
    assert ran.code == 4
    left = account.contents()
    for role in left["roles"].keys() - before["roles"].keys():
        assert f"role {role}" in ran.result["notRemoved"]
        assert f"; aws iam delete-role --role-name {role}\n" in ran.told
    assert left["associations"]
    assert "iam:DeleteRole" in ran.result["missingRights"]
    assert "eks:DeletePodIdentityAssociation" in ran.result["missingRights"]

    again = account.conform()
    assert f"left by an earlier run: {ran.result['notRemoved'][0]}" in again.told
    assert account.contents() == before


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(account: Account) -> None:
    iam = account.aws.admin_client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    trust = trust.replace(
        "[]", json.dumps([{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}])
    )
    iam.create_role(RoleName="mxp-identity-conformance-of-a-person", AssumeRolePolicyDocument=trust)
    before = account.contents()
    iam.create_role(RoleName=ROLE, Path="/mxp-identity-conformance/", AssumeRolePolicyDocument=trust)
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "iam:GetRole", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName=ROLE, PolicyName="mxp-identity-conformance", PolicyDocument=json.dumps(policy))
    labels = {"app.kubernetes.io/managed-by": "mxp-identity-conformance"}
    path = f"/api/v1/namespaces/default/pods/{ROLE}"
    account.cluster.objects[path] = {"metadata": {"name": ROLE, "labels": labels}}

    ran = account.conform()
    assert ran.code == 0, ran.result
    assert f"left by an earlier run: role {ROLE}\n" in ran.told
    assert f"left by an earlier run: pod default/{ROLE}\n" in ran.told
    assert account.contents() == before


def test_without_a_cluster_only_iam_is_asked(account: Account) -> None:
    before = account_of(account.aws)
    ran = account.conform(cluster=None)
    assert ran.code == 0
    asked = {row["service"] for row in ran.result["rows"] if row["verdict"] != "not-asked"}
    assert asked == {"IAM"}
    assert {call.service for call in account.aws.log} == {"iam", "sts"}
    assert account_of(account.aws) == before
