"""Mode pod-identity has the least rights in AWS: without any one of them something that it does is refused."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import AwsStandIn, Credentials
from rig.permissions import pod_identity_policy
from tests.aws.conftest import use
from tests.aws.test_associations import PODS_ROLE, Eks
from tests.support.pods import CLUSTER, PODS
from tests.support.sites import ISSUER, role
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = pod_identity_policy([PODS_ROLE.value], CLUSTER.value)
RIGHTS = [
    action
    for statement in POLICY["Statement"]
    for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
]


class Worker:
    """A user with the documented rights, less one."""

    def __init__(self, aws: AwsStandIn) -> None:
        self.aws = aws
        self.iam = aws.admin_client("iam")
        document = json.dumps({"Version": "2012-10-17", "Statement": [PODS.render()]})
        for name in (PODS_ROLE.name, "unbound"):
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        self.iam.create_user(UserName="worker")
        key = self.iam.create_access_key(UserName="worker")["AccessKey"]
        self.credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        aws.add_cluster(CLUSTER.name, ISSUER.value)

    def have(self, without: str = "") -> None:
        """Give all rights but one."""
        policy = copy.deepcopy(POLICY)
        for statement in policy["Statement"]:
            given = statement["Action"]
            statement["Action"] = [one for one in ([given] if isinstance(given, str) else given) if one != without]
        policy["Statement"] = [one for one in policy["Statement"] if one["Action"]]
        self.iam.put_user_policy(UserName="worker", PolicyName="own", PolicyDocument=json.dumps(policy))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with AwsStandIn() as aws:
        yield Worker(aws)


@pytest.fixture
def eks(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Eks]:
    use(monkeypatch, worker.aws.environment(credentials=worker.credentials))
    program = Eks()
    yield program
    program.calls.close()


async def everything(eks: Eks, number: int) -> None:
    """All that the program does with an association."""
    made = await eks.create(number)()
    await eks.associations.list()
    await eks.associations.describe(made.id)
    await eks.associations.update(made.id, PODS_ROLE)
    await eks.associations.delete(made.id)


def test_with_the_documented_rights_everything_works(worker: Worker, eks: Eks) -> None:
    worker.have()
    eks.run(lambda: everything(eks, 1))


@pytest.mark.parametrize("right", RIGHTS)
def test_without_any_one_of_them_aws_says_which_is_missing(worker: Worker, eks: Eks, right: str) -> None:
    worker.have(without=right)
    refusal = eks.refused(lambda: everything(eks, 2 + RIGHTS.index(right)))
    assert refusal.kind is FailureKind.ACCESS_DENIED
    assert f"not authorized to perform: {right} on" in str(refusal)


def test_no_other_role_can_be_passed_on(worker: Worker, eks: Eks) -> None:
    worker.have()
    refusal: Any = eks.refused(eks.create(100, role("unbound")))
    assert isinstance(refusal, AwsError)
    assert "iam:PassRole" in str(refusal)
