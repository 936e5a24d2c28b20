"""The rights that `conformance` prints are enough, and each is needed: without it a run names it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import ACCOUNT, REGION
from rig.space import EKS_CLUSTER
from tests.support.variants import variants
from webhook.cli.conformance.permissions import Scope, actions, policy
from webhook.model.aws_errors import AwsError
from webhook.model.names import ClusterArn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cli.conformance.account import Account

SCOPE = Scope("aws", ACCOUNT, ClusterArn(f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{EKS_CLUSTER}"))

BEFORE_ANYTHING_IS_MADE = {"eks:DescribeCluster", "eks:ListPodIdentityAssociations", "iam:ListRoles"}
"""Without these it would not know what is its own."""


def _person(account: Account, document: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a user with this policy and no other."""
    iam = account.aws.admin_client("iam")
    iam.create_user(UserName="person")
    iam.put_user_policy(UserName="person", PolicyName="rights", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="person")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def _without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    left = [{**one, "Action": [name for name in one["Action"] if name != action]} for one in document["Statement"]]
    return {**document, "Statement": [one for one in left if one["Action"]]}


def test_they_are_enough(account: Account) -> None:
    ran = account.conform(given=_person(account, policy(SCOPE)))
    assert set(ran.verdicts().values()) == {"holds"}, ran.result
    assert (ran.code, ran.result["missingRights"]) == (0, [])


def test_without_a_cluster_fewer_are_enough(account: Account) -> None:
    scope = Scope("aws", ACCOUNT, None)
    assert {one.split(":")[0] for one in actions(scope)} == {"iam"}
    assert account.conform(cluster=None, given=_person(account, policy(scope))).code == 0


ACTIONS = sorted(actions(SCOPE))


@pytest.mark.parametrize("action", variants(ACTIONS, *ACTIONS[::4]))
def test_each_is_needed_and_a_run_without_it_names_it(account: Account, action: str) -> None:
    given = _person(account, _without(policy(SCOPE), action))
    if action in BEFORE_ANYTHING_IS_MADE:
        before = account.contents()
        with pytest.raises(AwsError, match=f"is not authorized to perform: {action} "):
            account.conform(given=given)
        assert account.contents() == before
        return
    ran = account.conform(given=given)
    assert (ran.code, ran.result["missingRights"]) == (4, [action])


def test_the_policy_has_each_action_once_for_each_kind_of_resource() -> None:
    named = [action for one in policy(SCOPE)["Statement"] for action in one["Action"]]
    assert set(named) == actions(SCOPE)
    assert len(named) == len(set(named)) + 1, "GetRole is for a role that is not there, too"


OWN = {
    f"arn:aws:iam::{ACCOUNT}:role/mxp-identity-conformance/*",
    f"arn:aws:iam::{ACCOUNT}:role/mxp-identity-conformance-*",
    f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{EKS_CLUSTER}",
    f"arn:aws:eks:{REGION}:{ACCOUNT}:podidentityassociation/{EKS_CLUSTER}/*",
}


def test_no_right_reaches_what_a_run_has_not_made() -> None:
    others = [one for one in policy(SCOPE)["Statement"] if one["Resource"] not in OWN]
    assert [one["Action"] for one in others] == [["iam:GetAccountSummary", "iam:ListRoles"]]


def test_what_the_cluster_refuses_is_named_in_the_rows_that_need_it(account: Account) -> None:
    account.cluster.refused = {"pods"}
    ran = account.conform()
    found = {name: verdict for name, verdict in ran.verdicts().items() if verdict != "holds"}
    assert found == dict.fromkeys(("pod-variables", "principal-tag", "source-arn"), "not-observed")
    assert "cannot create resource pods" in ran.row("source-arn")["observed"]


def test_the_result_names_neither_account_nor_caller_nor_cluster(account: Account) -> None:
    ran = account.conform(given=_person(account, _without(policy(SCOPE), "iam:UpdateAssumeRolePolicy")))
    text = json.dumps(ran.result)
    assert "<caller> is not authorized" in text
    for secret in (ACCOUNT, "user/person", EKS_CLUSTER):
        assert secret not in text
