"""The stand-in's S3: which policy decides about a role's call, in AWS's words, and what a bucket keeps."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from rig.aws import ACCOUNT, AwsStandIn, Credentials, TokenIssuer
from tests.aws_standin.conftest import SUBJECT

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

BUCKET, OBJECT = "arn:aws:s3:::my-backups", "arn:aws:s3:::my-backups/team/one"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/backup"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
READING = {**EVERYTHING, "Action": ["s3:Get*", "s3:List*"]}
DENY = {**EVERYTHING, "Effect": "Deny", "Action": "s3:PutObject"}
ANYBODY = {"Principal": "*"}
ROOT = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
KEY_USE = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
PUT, LIST, GET = f'"{OBJECT}"', f'"{BUCKET}"', f'"{OBJECT}"'


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(iam: "IAMClient", *statements: dict[str, Any]) -> None:
    iam.put_role_policy(RoleName="backup", PolicyName="all", PolicyDocument=policy(*statements))


def limit(iam: "IAMClient", *statements: dict[str, Any]) -> None:
    made = iam.create_policy(PolicyName="boundary", PolicyDocument=policy(*statements))
    iam.put_role_permissions_boundary(RoleName="backup", PermissionsBoundary=made["Policy"]["Arn"])


@pytest.fixture
def s3(aws: AwsStandIn, issuer: TokenIssuer, role: str, sts: "STSClient", iam: "IAMClient") -> Any:
    """S3 as the role, which may do everything."""
    allow(iam, EVERYTHING)
    found = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="me", WebIdentityToken=issuer.token(SUBJECT)
    )
    keys = found["Credentials"]
    credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    return aws.client("s3", credentials)


def put(s3: Any, **params: Any) -> None:
    s3.put_object(Bucket="my-backups", Key="team/one", Body=b"text", **params)


def refused(call: Any) -> str:
    """Why it is, after who and what."""
    with pytest.raises(ClientError) as refusal:
        call()
    error = refusal.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    return str(error["Message"]).partition("me is not authorized to perform: ")[2]


def test_an_object_is_kept_listed_read_and_removed(s3: Any) -> None:
    put(s3)
    s3.put_object(Bucket="my-backups", Key="other", Body=b"more")
    found = s3.list_objects_v2(Bucket="my-backups", Prefix="team/")
    assert [one["Key"] for one in found["Contents"]] == ["team/one"]
    assert s3.get_object(Bucket="my-backups", Key="team/one")["Body"].read() == b"text"
    s3.delete_object(Bucket="my-backups", Key="team/one")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="my-backups", Key="team/one")


def test_a_conditional_write_does_not_replace_an_object(s3: Any) -> None:
    put(s3, IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        put(s3, IfNoneMatch="*")


def test_a_request_that_is_signed_for_another_region_is_refused_with_the_right_one(
    aws: AwsStandIn, s3: Any
) -> None:
    aws.add_bucket("far", "eu-west-1")
    with pytest.raises(ClientError, match="the region 'us-west-2' is wrong; expecting 'eu-west-1'") as refusal:
        s3.put_object(Bucket="far", Key="one", Body=b"")
    assert refusal.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-west-1"


def test_what_a_versioned_and_locked_bucket_keeps_is_told(aws: AwsStandIn, s3: Any) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket="my-backups")
    with pytest.raises(ClientError, match="ObjectLockConfigurationNotFoundError"):
        s3.get_object_lock_configuration(Bucket="my-backups")
    bucket = aws.add_bucket("vault", versioned=True, lock=30)
    assert s3.get_bucket_versioning(Bucket="vault")["Status"] == "Enabled"
    found = s3.get_object_lock_configuration(Bucket="vault")["ObjectLockConfiguration"]
    assert found["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 30}
    s3.put_object(Bucket="vault", Key="one", Body=b"")
    s3.delete_object(Bucket="vault", Key="one")
    assert (bucket.objects, bucket.versions) == ({}, [("one", False), ("one", True)])


def test_identity_policies_have_to_allow(s3: Any, iam: "IAMClient") -> None:
    allow(iam, READING)
    why = "because no identity-based policy allows the s3:PutObject action"
    assert refused(lambda: put(s3)) == f"s3:PutObject on resource: {PUT} {why}"
    allow(iam, EVERYTHING, DENY)
    assert refused(lambda: put(s3)).endswith("with an explicit deny in an identity-based policy")


def test_an_object_that_is_not_there_is_hidden_without_the_right_to_list(s3: Any, iam: "IAMClient") -> None:
    allow(iam, {**EVERYTHING, "Action": "s3:GetObject"})
    why = "because no identity-based policy allows the s3:ListBucket action"
    assert refused(lambda: s3.get_object(Bucket="my-backups", Key="team/one")) == (
        f"s3:ListBucket on resource: {LIST} {why}"
    )


def test_a_bucket_policy_may_deny_and_may_allow(aws: AwsStandIn, s3: Any, iam: "IAMClient") -> None:
    bucket = aws.bucket("my-backups")
    bucket.policy = policy({**DENY, **ANYBODY, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": f"{ROLE}s"}}})
    assert refused(lambda: put(s3)).endswith("with an explicit deny in a resource-based policy")
    bucket.policy = policy({**DENY, **ANYBODY, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": ROLE}}})
    put(s3)
    allow(iam, READING)
    assert "no identity-based policy" in refused(lambda: put(s3))
    bucket.policy = policy({**EVERYTHING, "Principal": {"AWS": ROLE}})
    put(s3)


def test_a_permissions_boundary_limits_what_policies_allow(s3: Any, iam: "IAMClient") -> None:
    limit(iam, READING)
    assert refused(lambda: put(s3)).endswith("because no permissions boundary allows the s3:PutObject action")
    assert "Contents" not in s3.list_objects_v2(Bucket="my-backups")


def test_a_boundary_may_deny(s3: Any, iam: "IAMClient") -> None:
    limit(iam, EVERYTHING, DENY)
    assert refused(lambda: put(s3)).endswith("with an explicit deny in a permissions boundary")


def test_an_endpoint_policy_limits_roles_and_not_those_outside_the_network(aws: AwsStandIn, s3: Any) -> None:
    endpoint = aws.add_endpoint(policy({**READING, **ANYBODY}))
    assert refused(lambda: put(s3)).endswith("because no VPC endpoint policy allows the s3:PutObject action")
    endpoint.policy = policy({**EVERYTHING, **ANYBODY}, {**DENY, **ANYBODY})
    assert refused(lambda: put(s3)).endswith("with an explicit deny in a VPC endpoint policy")
    put(aws.admin_client("s3"))


def test_a_key_is_used_only_as_its_policy_says(aws: AwsStandIn, s3: Any, iam: "IAMClient") -> None:
    key = aws.add_key(policy({**KEY_USE, **ROOT}))
    aws.bucket("my-backups").key = key.arn
    put(s3)
    allow(iam, {**EVERYTHING, "Action": "s3:*"})
    why = "because no identity-based policy allows the kms:GenerateDataKey action"
    assert refused(lambda: put(s3)) == f"kms:GenerateDataKey on resource: {key.arn} {why}"
    assert "kms:Decrypt" in refused(lambda: s3.get_object(Bucket="my-backups", Key="team/one"))
    key.policy = policy({**KEY_USE, "Principal": {"AWS": f"{ROLE}s"}})
    allow(iam, EVERYTHING)
    why = "because no resource-based policy allows the kms:GenerateDataKey action"
    assert refused(lambda: put(s3)).endswith(why)
    aws.client("kms", aws.root).create_grant(KeyId=key.arn, GranteePrincipal=ROLE, Operations=["GenerateDataKey"])
    put(s3)
    assert refused(lambda: s3.get_object(Bucket="my-backups", Key="team/one")).startswith("kms:Decrypt")
