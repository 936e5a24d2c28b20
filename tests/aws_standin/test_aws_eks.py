"""EKS's calls about Pod Identity associations, through an unmodified boto3 client."""

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from rig.aws import (
    ACCOUNT,
    AwsStandIn,
    Credentials,
    FailAfterwards,
    LoseAnswer,
    ManualClock,
    RemoteStandIn,
    Stale,
    Throttle,
    TokenIssuer,
)
from rig.aws.expect import refused
from tests.aws_standin.eks import ACCOUNT_NAME, CLUSTER, NAMESPACE, policy, statement

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient

ARN = f"arn:aws:eks:us-west-2:{ACCOUNT}:cluster/{CLUSTER}"


@pytest.fixture
def eks(aws: AwsStandIn, issuer: TokenIssuer) -> "EKSClient":
    aws.add_cluster(CLUSTER, issuer.url)
    return aws.admin_client("eks")


@pytest.fixture
def backup(iam: "IAMClient") -> str:
    """A role that EKS may assume for any pod; its ARN."""
    return iam.create_role(RoleName="pods", AssumeRolePolicyDocument=policy(statement()))["Role"]["Arn"]


def create(eks: "EKSClient", role: str, namespace: str = NAMESPACE, **more: Any) -> str:
    found = eks.create_pod_identity_association(
        clusterName=CLUSTER, namespace=namespace, serviceAccount=ACCOUNT_NAME, roleArn=role, **more
    )
    return found["association"]["associationId"]


def test_a_cluster_names_the_issuer_of_its_tokens(eks: "EKSClient", issuer: TokenIssuer) -> None:
    found = eks.describe_cluster(name=CLUSTER)["cluster"]

    assert (found["arn"], found["identity"]["oidc"]["issuer"]) == (ARN, issuer.url)
    with refused("ResourceNotFoundException", 404, "No cluster found for name: other."):
        eks.describe_cluster(name="other")


def test_an_association_is_described_with_all_that_it_was_made_with(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup, tags={"owner": "tests"})

    found = eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=made)["association"]

    assert made.startswith("a-")
    assert found["associationArn"] == f"arn:aws:eks:us-west-2:{ACCOUNT}:podidentityassociation/{CLUSTER}/{made}"
    assert (found["namespace"], found["serviceAccount"]) == (NAMESPACE, ACCOUNT_NAME)
    assert (found["roleArn"], found["tags"]) == (backup, {"owner": "tests"})
    assert "ownerArn" not in found


def test_a_list_has_neither_roles_nor_tags(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup, tags={"owner": "tests"})

    (found,) = eks.list_pod_identity_associations(clusterName=CLUSTER)["associations"]

    assert found["associationId"] == made
    assert not {"roleArn", "tags"} & found.keys()


def test_a_list_can_be_narrowed_to_a_namespace_and_a_service_account(eks: "EKSClient", backup: str) -> None:
    one, _ = create(eks, backup), create(eks, backup, "mxp-2-system")

    def ids(**narrowed: Any) -> list[str]:
        found = eks.list_pod_identity_associations(clusterName=CLUSTER, **narrowed)["associations"]
        return [item["associationId"] for item in found]

    assert ids(namespace=NAMESPACE) == ids(namespace=NAMESPACE, serviceAccount=ACCOUNT_NAME) == [one]
    assert ids(namespace=NAMESPACE, serviceAccount="other") == []
    assert len(ids(serviceAccount=ACCOUNT_NAME)) == 2


def test_a_long_list_comes_in_pages(eks: "EKSClient", backup: str) -> None:
    made = [create(eks, backup, f"mxp-{number}-system") for number in range(5)]

    first = eks.list_pod_identity_associations(clusterName=CLUSTER, maxResults=2)
    pages = eks.get_paginator("list_pod_identity_associations").paginate(
        clusterName=CLUSTER, PaginationConfig={"PageSize": 2}
    )

    assert len(first["associations"]) == 2
    assert first["nextToken"]
    assert [item["associationId"] for page in pages for item in page["associations"]] == made
    with refused("InvalidParameterException", 400):
        eks.list_pod_identity_associations(clusterName=CLUSTER, nextToken="not one of ours")
    with refused("InvalidParameterException", 400):
        eks.list_pod_identity_associations(clusterName=CLUSTER, maxResults=101)


def test_an_update_changes_the_role_and_nothing_else(
    eks: "EKSClient", iam: "IAMClient", backup: str, clock: ManualClock
) -> None:
    other = iam.create_role(RoleName="other", AssumeRolePolicyDocument=policy(statement()))["Role"]["Arn"]
    made = create(eks, backup, tags={"owner": "tests"})
    clock.advance(60)

    eks.update_pod_identity_association(clusterName=CLUSTER, associationId=made, roleArn=other)

    found = eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=made)["association"]
    assert (found["roleArn"], found["tags"]) == (other, {"owner": "tests"})
    assert (found["modifiedAt"] - found["createdAt"]).total_seconds() == pytest.approx(60)


def test_what_was_deleted_is_gone(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup)

    eks.delete_pod_identity_association(clusterName=CLUSTER, associationId=made)

    for call in (eks.describe_pod_identity_association, eks.delete_pod_identity_association):
        with refused("ResourceNotFoundException", 404, f"No association found with associationId {made}"):
            call(clusterName=CLUSTER, associationId=made)
    with refused("ResourceNotFoundException", 404):
        eks.update_pod_identity_association(clusterName=CLUSTER, associationId=made, roleArn=backup)
    create(eks, backup)


def test_a_second_association_is_refused_with_the_id_of_the_first(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup)

    with refused("ResourceInUseException", 409, f"Association already exists: {made}"):
        create(eks, backup)


def test_the_same_request_sent_twice_makes_one(eks: "EKSClient", backup: str) -> None:
    assert create(eks, backup, clientRequestToken="one") == create(eks, backup, clientRequestToken="one")


def test_tags_can_be_added_and_removed(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup, tags={"owner": "tests"})
    arn = f"arn:aws:eks:us-west-2:{ACCOUNT}:podidentityassociation/{CLUSTER}/{made}"

    def tags() -> dict[str, str]:
        found = eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=made)["association"]
        return found.get("tags", {})

    eks.tag_resource(resourceArn=arn, tags={"team": "backup", "stage": "test"})
    assert tags() == {"owner": "tests", "team": "backup", "stage": "test"}
    eks.untag_resource(resourceArn=arn, tagKeys=["owner", "stage", "none"])
    assert tags() == {"team": "backup"}
    with refused("NotFoundException", 404):
        eks.tag_resource(resourceArn=arn + "x", tags={"team": "backup"})
    with refused("NotFoundException", 404):
        eks.untag_resource(resourceArn=arn + "x", tagKeys=["team"])


def test_the_owner_of_an_addons_association_shows(aws: AwsStandIn, eks: "EKSClient", backup: str) -> None:
    made, addon = create(eks, backup), f"arn:aws:eks:us-west-2:{ACCOUNT}:addon/{CLUSTER}/velero/1"

    aws.give_to_addon(CLUSTER, made, addon)

    (found,) = eks.list_pod_identity_associations(clusterName=CLUSTER)["associations"]
    assert found["ownerArn"] == addon


# What EKS refuses


def trust(*actions: str, service: str = "pods.eks.amazonaws.com") -> str:
    return policy(statement(Principal={"Service": service}, Action=list(actions)))


ACCEPTED = [
    policy(statement()),
    policy(statement({"StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-*"}})),
    policy(statement(Action="sts:AssumeRole"), statement(Action="sts:TagSession")),
]
NOT_ACCEPTED = [
    trust("sts:AssumeRole"),
    trust("sts:TagSession"),
    trust("sts:AssumeRole", "sts:TagSession", service="ec2.amazonaws.com"),
    policy(statement(Effect="Deny"), statement(Principal={"AWS": ACCOUNT})),
]


@pytest.mark.parametrize("document", ACCEPTED)
def test_a_role_that_lets_eks_assume_it_and_tag_the_session_is_accepted(
    eks: "EKSClient", iam: "IAMClient", document: str
) -> None:
    create(eks, iam.create_role(RoleName="tried", AssumeRolePolicyDocument=document)["Role"]["Arn"])


@pytest.mark.parametrize("document", NOT_ACCEPTED)
def test_a_role_that_does_not_is_refused(eks: "EKSClient", iam: "IAMClient", document: str) -> None:
    role = iam.create_role(RoleName="tried", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    with refused("InvalidParameterException", 400, "Trust policy of the role provided in the request is invalid"):
        create(eks, role)


def test_a_role_must_exist_in_the_account(eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup)

    with refused("InvalidParameterException", 400, "Role provided in the request does not exist."):
        create(eks, f"arn:aws:iam::{ACCOUNT}:role/nobody", "mxp-2-system")
    with refused("InvalidParameterException", 400, "Cross-account pass role is not allowed."):
        create(eks, "arn:aws:iam::999999999999:role/pods", "mxp-2-system")
    with refused("InvalidParameterException", 400, "Role provided in the request does not exist."):
        eks.update_pod_identity_association(
            clusterName=CLUSTER, associationId=made, roleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody"
        )


def test_names_must_be_kubernetes_names(eks: "EKSClient", backup: str) -> None:
    with refused("InvalidParameterException", 400):
        create(eks, backup, "mxp-*")


def test_a_session_policy_needs_session_tags_disabled(eks: "EKSClient", backup: str) -> None:
    with refused("InvalidRequestException", 400):
        create(eks, backup, policy="{}")

    create(eks, backup, policy="{}", disableSessionTags=True)


def test_a_cluster_has_a_quota(aws: AwsStandIn, eks: "EKSClient", backup: str) -> None:
    assert aws.association_quota == 5000
    aws.association_quota = 1
    create(eks, backup)

    with refused("ResourceLimitExceededException", 400):
        create(eks, backup, "mxp-2-system")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"/clusters/{CLUSTER}/pod-identity-associations", {"namespace": "a", "serviceAccount": "b"}),
        ("POST", f"/clusters/{CLUSTER}/pod-identity-associations/a-1", {"roleArn": 1}),
        ("POST", f"/clusters/{CLUSTER}/pod-identity-associations/a-1", {"role": "x"}),
        ("GET", f"/clusters/{CLUSTER}/pod-identity-associations?maxResults=many", None),
    ],
)
def test_requests_are_held_to_botocores_model(
    aws: AwsStandIn, eks: "EKSClient", method: str, path: str, body: dict[str, Any] | None
) -> None:
    key = f"AWS4-HMAC-SHA256 Credential={aws.root.access_key_id}/20260101/us-west-2/eks/aws4_request"
    found = httpx.request(method, aws.url + path, json=body, headers={"Authorization": key}, trust_env=False)

    assert eks.meta.service_model.service_name == "eks"
    assert (found.status_code, found.headers["x-amzn-errortype"]) == (400, "InvalidParameterException")


# Who may


WORKER = f"arn:aws:iam::{ACCOUNT}:user/worker"
CREATE = {"Effect": "Allow", "Action": "eks:CreatePodIdentityAssociation", "Resource": ARN}
TAG = {
    "Effect": "Allow",
    "Action": "eks:TagResource",
    "Resource": f"arn:aws:eks:us-west-2:{ACCOUNT}:podidentityassociation/{CLUSTER}/*",
}


def pass_role(role: str, **condition: str) -> dict[str, Any]:
    keys = {"iam:PassedToService": "pods.eks.amazonaws.com", "iam:AssociatedResourceArn": ARN, **condition}
    return {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": {"StringEquals": keys},
    }


class Worker:
    """A user, whose identity policy is replaced for each try."""

    def __init__(self, aws: AwsStandIn, iam: "IAMClient") -> None:
        self._iam = iam
        iam.create_user(UserName="worker")
        key = iam.create_access_key(UserName="worker")["AccessKey"]
        self.eks = aws.client("eks", Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    def may(self, *statements: dict[str, Any]) -> "EKSClient":
        self._iam.put_user_policy(UserName="worker", PolicyName="own", PolicyDocument=policy(*statements))
        return self.eks


@pytest.fixture
def worker(aws: AwsStandIn, iam: "IAMClient", eks: "EKSClient") -> Worker:
    assert eks
    return Worker(aws, iam)


def test_creating_needs_the_cluster_the_tags_and_the_right_to_pass_on_the_role(
    worker: Worker, backup: str
) -> None:
    whole = [CREATE, TAG, pass_role(backup)]
    create(worker.may(*whole), backup, tags={"a": "b"})

    missing = {
        "eks:CreatePodIdentityAssociation": [TAG, pass_role(backup)],
        "eks:TagResource": [CREATE, pass_role(backup)],
        "iam:PassRole": [CREATE, TAG],
    }
    for action, statements in missing.items():
        with pytest.raises(ClientError, match=f"is not authorized to perform: {action} on") as error:
            create(worker.may(*statements), backup, "mxp-2-system", tags={"a": "b"})
        assert error.value.response["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.parametrize(
    "condition",
    [
        {"iam:PassedToService": "ec2.amazonaws.com"},
        {"iam:AssociatedResourceArn": ARN.replace(CLUSTER, "other")},
    ],
)
def test_a_role_is_passed_on_to_one_service_for_one_cluster(
    worker: Worker, backup: str, condition: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="iam:PassRole"):
        create(worker.may(CREATE, pass_role(backup, **condition)), backup)


def test_one_association_is_no_part_of_its_clusters_arn(worker: Worker, eks: "EKSClient", backup: str) -> None:
    made = create(eks, backup)
    one = f"arn:aws:eks:us-west-2:{ACCOUNT}:podidentityassociation/{CLUSTER}/*"
    describe = {"Effect": "Allow", "Action": "eks:DescribePodIdentityAssociation"}

    with refused("AccessDeniedException", 403):
        worker.may({**describe, "Resource": ARN}).describe_pod_identity_association(
            clusterName=CLUSTER, associationId=made
        )
    worker.may({**describe, "Resource": one}).describe_pod_identity_association(
        clusterName=CLUSTER, associationId=made
    )


def test_a_right_can_depend_on_an_associations_tags(worker: Worker, eks: "EKSClient", backup: str) -> None:
    ours, theirs = create(eks, backup, tags={"owner": "us"}), create(eks, backup, "mxp-2-system")
    delete = {
        "Effect": "Allow",
        "Action": "eks:DeletePodIdentityAssociation",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/owner": "us"}},
    }

    with refused("AccessDeniedException", 403):
        worker.may(delete).delete_pod_identity_association(clusterName=CLUSTER, associationId=theirs)
    worker.may(delete).delete_pod_identity_association(clusterName=CLUSTER, associationId=ours)


# Late, slow and broken


def test_reads_can_be_late(aws: AwsStandIn, eks: "EKSClient", backup: str, clock: ManualClock) -> None:
    aws.switch_on(Stale(seconds=5, actions=("ListPodIdentityAssociations", "DescribePodIdentityAssociation")))
    made = create(eks, backup)

    assert eks.list_pod_identity_associations(clusterName=CLUSTER)["associations"] == []
    with refused("ResourceNotFoundException", 404):
        eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=made)
    clock.advance(5)
    assert len(eks.list_pod_identity_associations(clusterName=CLUSTER)["associations"]) == 1


def test_what_was_deleted_can_be_in_use_for_a_while(
    aws: AwsStandIn, eks: "EKSClient", backup: str, clock: ManualClock
) -> None:
    aws.switch_on(Stale(seconds=5, actions=("CreatePodIdentityAssociation",)))
    clock.advance(10)
    made = create(eks, backup)
    clock.advance(10)
    eks.delete_pod_identity_association(clusterName=CLUSTER, associationId=made)

    with refused("ResourceInUseException", 409, f"Association already exists: {made}"):
        create(eks, backup)
    clock.advance(5)
    create(eks, backup)


def test_faults_are_worded_as_eks_words_them(aws: AwsStandIn, eks: "EKSClient", backup: str) -> None:
    with aws.fault(Throttle(rate=0, burst=0)), refused("ThrottlingException", 400):
        create(eks, backup)
    with aws.fault(FailAfterwards(actions=("CreatePodIdentityAssociation",))), refused("ServerException", 500):
        create(eks, backup)
    assert len(aws.associations(CLUSTER)) == 1
    with aws.fault(LoseAnswer(applied=True)), pytest.raises(BotoCoreError):
        create(eks, backup, "mxp-2-system")
    assert len(aws.associations(CLUSTER)) == 2
    assert aws.calls["CreatePodIdentityAssociation", "ThrottlingException"] == 1


def test_a_stand_in_elsewhere_has_the_same_controls(aws: AwsStandIn, eks: "EKSClient", backup: str) -> None:
    remote = RemoteStandIn(aws.url)
    made = create(eks, backup, tags={"a": "b"})

    remote.association_quota = 7
    arn = remote.add_cluster("second", "https://example.com")

    assert (aws.association_quota, remote.association_quota) == (7, 7)
    assert eks.describe_cluster(name="second")["cluster"]["arn"] == arn
    assert remote.associations(CLUSTER) == aws.associations(CLUSTER)
    assert [one.id for one in remote.associations(CLUSTER)] == [made]
    assert remote.associations(CLUSTER, ago=3600) == []
