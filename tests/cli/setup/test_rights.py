"""The rights that `setup` needs, as docs/use/commands.md has them: all are enough, and none can be missing."""

import json
import re
from pathlib import Path
from typing import Any

from rig.aws.standin import AwsStandIn
from tests.cli.commands import Ran
from tests.cli.setup.accounts import BY_PODS, ISSUER, ROLES, setup

PAGE = Path(__file__).parents[3] / "docs" / "use" / "commands.md"
Policy = dict[str, Any]

TO_BEGIN = ["iam:GetOpenIDConnectProvider", "iam:GetRole"]
TO_CREATE = ["iam:CreateOpenIDConnectProvider", "iam:CreateRole", "iam:PutRolePolicy"]
FOR_PODS = [
    "eks:ListClusters",
    "eks:DescribeCluster",
    "eks:DescribeAddon",
    "eks:ListPodIdentityAssociations",
    "eks:CreateAddon",
    "eks:CreatePodIdentityAssociation",
    "iam:PassRole",
]
TO_REPAIR = ["iam:GetRolePolicy", "iam:AddClientIDToOpenIDConnectProvider", "iam:UpdateAssumeRolePolicy"]
"""In the order in which a run comes to them, so that each run goes further than the one before."""


class _Person:
    """An IAM user with the documented policy, or part of it."""

    def __init__(self, aws: AwsStandIn) -> None:
        self._aws, self._iam = aws, aws.admin_client("iam")
        self._iam.create_user(UserName="person")
        key = self._iam.create_access_key(UserName="person")["AccessKey"]
        self._keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def setup(self, policy: Policy, *more: str) -> Ran:
        self._iam.put_user_policy(UserName="person", PolicyName="setup", PolicyDocument=json.dumps(policy))
        return setup(self._aws, *more, given=self._keys)


def documented() -> Policy:
    """The policy of the page's section, for the stand-in's account, roles and cluster."""
    section = PAGE.read_text().partition("\n## setup\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    found: Policy = json.loads(text.replace("0123456789ABCDEF0123456789ABCDEF", ISSUER.rpartition("/")[2]))
    return found


def without(policy: Policy, action: str) -> Policy:
    statements = [
        {**one, "Action": [each for each in one["Action"] if each != action]} for one in policy["Statement"]
    ]
    return {**policy, "Statement": [one for one in statements if one["Action"]]}


def named(policy: Policy) -> set[str]:
    return {action for one in policy["Statement"] for action in one["Action"]}


def test_each_documented_right_is_needed_and_all_are_enough(aws: AwsStandIn) -> None:
    person, policy = _Person(aws), documented()
    tried = {"s3:ListBucket"}  # without it the bucket is not looked at: a note
    assert "could not be looked at" in person.setup(without(policy, "s3:ListBucket")).out

    def fails_without(actions: list[str], *options: str) -> None:
        for action in actions:
            answer = person.setup(without(policy, action), *options, "--approve")
            assert answer.code == 1, f"{action}: {answer.out}{answer.err}"
            assert re.search(rf"not authorized to perform: {action}\b", answer.err), answer.err
            tried.add(action)

    fails_without([*TO_BEGIN, *TO_CREATE])
    assert person.setup(policy, "--approve").code == 0
    _damage(aws)
    fails_without(TO_REPAIR)
    assert person.setup(policy, "--approve").code == 0
    fails_without(FOR_PODS, *BY_PODS)
    assert person.setup(policy, *BY_PODS, "--approve").code == 0
    fails_without(["eks:DescribePodIdentityAssociation"], *BY_PODS)
    assert named(policy) == tried | {"iam:GetAccountSummary"}, "the last one is for roles of an earlier version"


def _damage(aws: AwsStandIn) -> None:
    """What a second run corrects."""
    iam = aws.admin_client("iam")
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    arn = provider["Arn"]
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
    trust: Any = iam.get_role(RoleName=ROLES[1])["Role"]["AssumeRolePolicyDocument"]
    damaged = [{**one, "Effect": "Deny"} for one in trust["Statement"]]
    document = json.dumps({**trust, "Statement": damaged})
    iam.update_assume_role_policy(RoleName=ROLES[1], PolicyDocument=document)
