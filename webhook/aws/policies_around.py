"""The policies around a role and a bucket that are not the role's own: read to print what corrects one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from webhook.aws.calls import text

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import RoleArn

Document = dict[str, Any]

_LONGEST_POLICY = 131072
"""Characters; a bucket policy has 20 KiB at most, an endpoint policy 20,480 characters, a managed policy 6,144."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a bucket keeps of an object that is removed; `locked` is for how long, as `GOVERNANCE, 30 days`."""

    versioned: bool
    locked: str = ""


async def read_keeping(calls: AwsCalls, bucket: str, region: str) -> Keeping:
    """Whether a bucket keeps versions, and locks them.

    (s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration). Raises AwsError.
    """

    def ask(clients: AwsClients) -> Keeping:
        s3 = clients.s3(region)
        status = s3.get_bucket_versioning(Bucket=bucket).get("Status")
        try:
            found = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
                raise
            return Keeping(status == "Enabled")
        retention = found.get("Rule", {}).get("DefaultRetention", {})
        periods = [f"{retention[unit]} {unit.lower()}" for unit in ("Days", "Years") if unit in retention]
        return Keeping(status == "Enabled", ", ".join([text(retention["Mode"]), *periods]) if periods else "")

    return await calls.call("GetBucketVersioning", ask)


async def read_bucket_policy(calls: AwsCalls, bucket: str, region: str) -> Document | None:
    """A bucket's policy; None where it has none (s3:GetBucketPolicy). Raises AwsError."""

    def ask(clients: AwsClients) -> Document | None:
        try:
            found = clients.s3(region).get_bucket_policy(Bucket=bucket)["Policy"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
            return None
        return _document(found)

    return await calls.call("GetBucketPolicy", ask)


async def read_endpoints(calls: AwsCalls) -> dict[str, Document]:
    """The policies of the VPC endpoints of S3 in the caller's region, by id (ec2:DescribeVpcEndpoints)."""

    def ask(clients: AwsClients) -> dict[str, Document]:
        name = f"com.amazonaws.{clients.region}.s3"
        found = clients.ec2.describe_vpc_endpoints(Filters=[{"Name": "service-name", "Values": [name]}])
        return {text(one["VpcEndpointId"]): _document(one["PolicyDocument"]) for one in found["VpcEndpoints"]}

    return await calls.call("DescribeVpcEndpoints", ask)


async def read_boundary(calls: AwsCalls, role: RoleArn) -> tuple[str, Document] | None:
    """A role's permissions boundary by its ARN, None where it has none. Raises AwsError.

    (iam:GetRole, iam:GetPolicy, iam:GetPolicyVersion)
    """

    def ask(clients: AwsClients) -> tuple[str, Document] | None:
        iam = clients.iam
        found: Any = iam.get_role(RoleName=role.name)["Role"].get("PermissionsBoundary")
        if found is None:
            return None
        arn = text(found["PermissionsBoundaryArn"])
        version = text(iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"])
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        return arn, _document(document)

    return await calls.call("GetPolicyVersion", ask)


def _document(found: object) -> Document:
    """A policy as JSON has it. Raises TypeError, ValueError for what is none."""
    parsed = found if isinstance(found, dict) else json.loads(text(found, _LONGEST_POLICY))
    if not isinstance(parsed, dict):
        raise TypeError("a policy is expected")
    return parsed
