"""A pod's way to credentials: its token, the association, the role's trust policy, the agent in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.credentials import ContainerProvider
from botocore.exceptions import CredentialRetrievalError

from rig.aws import ACCOUNT, AwsStandIn, ManualClock, Refuse, Stale, TokenIssuer
from rig.aws.agent import Agent
from rig.aws.eks import TRUSTED_ACTIONS
from rig.aws.expect import refused
from rig.oracle import TrustOracle
from tests.aws_standin.eks import ACCOUNT_NAME, AUDIENCE, CLUSTER, NAMESPACE, policy, statement, token

if TYPE_CHECKING:
    from mypy_boto3_eks_auth import EKSAuthClient
    from mypy_boto3_iam import IAMClient

CLUSTER_ARN = f"arn:aws:eks:us-west-2:{ACCOUNT}:cluster/{CLUSTER}"


@pytest.fixture
def auth(aws: AwsStandIn, issuer: TokenIssuer) -> "EKSAuthClient":
    aws.add_cluster(CLUSTER, issuer.url)
    return aws.admin_client("eks-auth")


def associate(aws: AwsStandIn, iam: "IAMClient", document: str, namespace: str = NAMESPACE, **more: Any) -> None:
    role = iam.create_role(RoleName="pods", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    aws.admin_client("eks").create_pod_identity_association(
        clusterName=CLUSTER, namespace=namespace, serviceAccount=ACCOUNT_NAME, roleArn=role, **more
    )


def test_a_pods_token_becomes_credentials_of_the_associations_role(
    aws: AwsStandIn, iam: "IAMClient", auth: "EKSAuthClient", issuer: TokenIssuer
) -> None:
    associate(aws, iam, policy(statement()))

    found = auth.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))

    assert found["subject"] == {"namespace": NAMESPACE, "serviceAccount": ACCOUNT_NAME}
    assert found["audience"] == AUDIENCE
    assert found["assumedRoleUser"]["arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/pods/eks-{CLUSTER}-")
    assert found["podIdentityAssociation"]["associationId"] == aws.associations(CLUSTER)[0].id


# The trust policy's conditions: each case is judged by the stand-in and by the oracle.

TAGS = {
    "eks-cluster-arn": CLUSTER_ARN,
    "eks-cluster-name": CLUSTER,
    "kubernetes-namespace": NAMESPACE,
    "kubernetes-service-account": ACCOUNT_NAME,
    "kubernetes-pod-name": "controller-0",
    "kubernetes-pod-uid": "00000000-0000-0000-0000-000000000001",
}
NARROWED = {
    "StringEquals": {
        "aws:RequestTag/kubernetes-service-account": ACCOUNT_NAME,
        "aws:RequestTag/eks-cluster-arn": CLUSTER_ARN,
    },
    "StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-*-system"},
}


def narrowed(operator: str, **tags: str | list[str]) -> dict[str, Any]:
    block = {f"aws:RequestTag/{name.replace('_', '-')}": value for name, value in tags.items()}
    return {**NARROWED, operator: {**NARROWED[operator], **block}}


CASES = {
    "the three conditions that belong together": ([statement(NARROWED)], "trusted"),
    "no condition": ([statement()], "trusted"),
    "another namespace's pattern": ([statement(narrowed("StringLike", kubernetes_namespace="team-*"))], "refused"),
    "one of several patterns": (
        [statement(narrowed("StringLike", kubernetes_namespace=["team-*", "mxp-*"]))],
        "trusted",
    ),
    "a star that stands for nothing": (
        [statement(narrowed("StringLike", kubernetes_namespace=NAMESPACE + "*"))],
        "trusted",
    ),
    "a pattern in upper case": ([statement(narrowed("StringLike", kubernetes_namespace="MXP-*"))], "refused"),
    "a pattern where no pattern is read": (
        [statement({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "mxp-*"}})],
        "refused",
    ),
    "another service account": (
        [statement(narrowed("StringEquals", kubernetes_service_account="default"))],
        "refused",
    ),
    "another cluster": ([statement(narrowed("StringEquals", eks_cluster_arn=CLUSTER_ARN + "2"))], "refused"),
    "keys in another case": (
        [statement({"StringLike": {"aws:requesttag/Kubernetes-Namespace": "mxp-*"}})],
        "trusted",
    ),
    "a tag that EKS does not give": ([statement({"StringEquals": {"aws:RequestTag/team": "backup"}})], "refused"),
    "a tag that EKS does not give, if it exists": (
        [statement({"StringEqualsIfExists": {"aws:RequestTag/team": "backup"}})],
        "trusted",
    ),
    "all tag keys are known": (
        [statement({"ForAllValues:StringLike": {"aws:TagKeys": ["eks-*", "kubernetes-*"]}})],
        "trusted",
    ),
    "some tag keys are unknown": ([statement({"ForAllValues:StringLike": {"aws:TagKeys": ["eks-*"]}})], "refused"),
    "only one of the actions is narrowed to it": (
        [
            statement(Action="sts:AssumeRole"),
            statement(narrowed("StringLike", kubernetes_namespace="team-*"), Action="sts:TagSession"),
        ],
        "refused",
    ),
    "both actions by two statements": (
        [statement(NARROWED, Action="sts:AssumeRole"), statement(Action="sts:TagSession")],
        "trusted",
    ),
    "a deny of the namespace": (
        [
            statement(),
            statement({"StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-1*"}}, Effect="Deny"),
        ],
        "refused",
    ),
    "a deny of another namespace": (
        [
            statement(),
            statement({"StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-2*"}}, Effect="Deny"),
        ],
        "trusted",
    ),
    "statements of others": (
        [
            statement(Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole"),
            statement(NARROWED),
            statement(Principal={"Service": "ec2.amazonaws.com"}),
        ],
        "trusted",
    ),
}
EACH_CASE = pytest.mark.parametrize("case", CASES)


@EACH_CASE
def test_the_trust_policy_decides(
    aws: AwsStandIn, iam: "IAMClient", auth: "EKSAuthClient", issuer: TokenIssuer, case: str
) -> None:
    statements, expected = CASES[case]
    associate(aws, iam, policy(*statements))
    message = "Unauthorized Exception! EKS does not have permissions to assume the associated role."

    if expected == "trusted":
        auth.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))
    else:
        with refused("AccessDeniedException", 400, message):
            auth.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))


@pytest.fixture(scope="module")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as found:
        yield found


def context() -> dict[str, list[str]]:
    return {**{f"aws:RequestTag/{name}": [value] for name, value in TAGS.items()}, "aws:TagKeys": list(TAGS)}


@EACH_CASE
def test_the_independent_evaluator_agrees(oracle: TrustOracle, case: str) -> None:
    statements, expected = CASES[case]

    judgement = oracle.judge_service(
        policy(*statements), service=AUDIENCE, actions=TRUSTED_ACTIONS, context=context()
    )

    assert judgement.allowed is (expected == "trusted"), judgement.reason


def test_without_session_tags_there_is_nothing_to_narrow_by(
    aws: AwsStandIn, iam: "IAMClient", auth: "EKSAuthClient", issuer: TokenIssuer
) -> None:
    associate(aws, iam, policy(statement(NARROWED)), disableSessionTags=True)

    with refused("AccessDeniedException", 400):
        auth.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))


# Tokens


@pytest.fixture
def associated(aws: AwsStandIn, iam: "IAMClient", auth: "EKSAuthClient") -> "EKSAuthClient":
    associate(aws, iam, policy(statement()))
    return auth


def test_a_token_must_be_a_pods_of_this_cluster_and_for_eks(
    aws: AwsStandIn, associated: "EKSAuthClient", issuer: TokenIssuer
) -> None:
    other = TokenIssuer("https://oidc.eks.us-west-2.amazonaws.com/id/BBBB")
    aws.add_issuer(other.url, other.jwks)
    forged = TokenIssuer(issuer.url)
    refusals = {
        "another audience": token(issuer, audience="sts.amazonaws.com"),
        "another cluster": token(other),
        "another key": token(forged),
        "no pod": issuer.token(f"system:serviceaccount:{NAMESPACE}:{ACCOUNT_NAME}", audience=AUDIENCE),
    }

    for why, tried in refusals.items():
        with refused("InvalidTokenException", 400):
            pytest.fail(f"{why}: {associated.assume_role_for_pod_identity(clusterName=CLUSTER, token=tried)}")
    with refused("ExpiredTokenException", 400):
        associated.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer, lifetime=-1))


def test_without_an_association_there_is_nothing_to_assume(
    associated: "EKSAuthClient", issuer: TokenIssuer
) -> None:
    for tried in (token(issuer, "mxp-2-system"), token(issuer, account="default")):
        with refused("ResourceNotFoundException", 404):
            associated.assume_role_for_pod_identity(clusterName=CLUSTER, token=tried)
    with refused("ResourceNotFoundException", 404):
        associated.assume_role_for_pod_identity(clusterName="other", token=token(issuer))


def test_associations_and_trust_can_be_seen_late(
    aws: AwsStandIn, associated: "EKSAuthClient", issuer: TokenIssuer, clock: ManualClock
) -> None:
    with aws.fault(Stale(seconds=5, actions=("AssumeRoleForPodIdentity",))):
        with refused("ResourceNotFoundException", 404):
            associated.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))
        clock.advance(5)
        associated.assume_role_for_pod_identity(clusterName=CLUSTER, token=token(issuer))


# The agent


def fetched(agent: Agent, token_file: Path) -> Any:
    """What an unmodified botocore gets with the variables that EKS injects."""
    variables = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
    }
    return ContainerProvider(environ=variables).load()


def test_an_sdk_gets_its_credentials_from_the_agent(
    aws: AwsStandIn, associated: "EKSAuthClient", issuer: TokenIssuer, tmp_path: Path
) -> None:
    assert associated
    file = tmp_path / "token"
    file.write_text(token(issuer))

    with Agent(aws, CLUSTER) as agent:
        found = fetched(agent, file).get_frozen_credentials()

    session = boto3.session.Session(
        botocore_session=botocore.session.Session(),
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
        aws_session_token=found.token,
        region_name="us-west-2",
    )
    identity = session.client("sts", endpoint_url=aws.url).get_caller_identity()
    assert identity["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/pods/")


def test_the_agent_passes_on_what_eks_refuses(
    aws: AwsStandIn, associated: "EKSAuthClient", issuer: TokenIssuer, tmp_path: Path
) -> None:
    assert associated
    file = tmp_path / "token"
    file.write_text(token(issuer))
    refusing = Refuse(code="AccessDeniedException", status=400, actions=("AssumeRoleForPodIdentity",))

    with Agent(aws, CLUSTER) as agent, aws.fault(refusing), pytest.raises(CredentialRetrievalError, match="400"):
        fetched(agent, file)
