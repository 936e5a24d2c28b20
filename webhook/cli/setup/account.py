"""Reading where a person is, and what the account has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.associations import EksAssociations
from webhook.aws.buckets import read_bucket
from webhook.aws.cluster import ClusterCheck, read_provider
from webhook.aws.eks_clusters import addon_status, cluster_with_issuer, describe_cluster
from webhook.cli.account_calls import AGENT
from webhook.cli.setup.prerequisites import Found, FoundAgent, FoundRole
from webhook.cli.setup.steps import ASSOCIATION_POLICY, BUCKET_POLICY, OWN_POLICY
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.buckets import BucketState
from webhook.model.errors import InvalidNameError
from webhook.model.oidc_provider import OidcProvider
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient

    from webhook.aws.caller import Caller, CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.aws.eks_clusters import EksCluster
    from webhook.cli.setup.prerequisites import Bucket, DesiredAccount
    from webhook.model.names import IssuerUrl, RoleArn
    from webhook.podidentity.association import Association

_OF_REGION = re.compile(r"https://oidc\.eks\.(?P<region>[a-z0-9-]+)\..+")
"""An issuer of EKS names its region."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person is: what `setup` says first."""

    account: str
    region: str
    issuer: IssuerUrl
    cluster: EksCluster | None
    """None where the mode does not need it and it was not named."""
    context: str | None
    """The kubeconfig's; None where the API server is not asked."""


async def find_cluster(
    calls: AwsCalls, caller: Caller, region: str, issuer: IssuerUrl, name: str | None
) -> EksCluster:
    """The EKS cluster that is meant: of that name, else the one whose tokens `issuer` signs.

    Raises InvalidNameError where there is none, or it is another, and AwsError.
    """
    found = _OF_REGION.fullmatch(issuer.value)
    if found is not None and found["region"] != region:
        raise InvalidNameError(
            f"this cluster's issuer {issuer} is in region {found['region']}, but EKS is asked in {region}: set "
            f"AWS_REGION={found['region']}"
        )
    if name is None:
        try:
            cluster = await cluster_with_issuer(calls, issuer)
        except AwsError as error:
            if error.kind is not FailureKind.ACCESS_DENIED:
                raise
            raise AwsError(error.kind, f"{error}; without that right name the cluster with --cluster") from error
        if cluster is None:
            raise InvalidNameError(
                f"no EKS cluster of account {caller.account} in {region} issues tokens as {issuer}: is "
                "AWS_PROFILE or AWS_REGION another cluster's? Else name the cluster with --cluster"
            )
        return cluster
    cluster = await describe_cluster(calls, name)
    if cluster is None:
        raise InvalidNameError(
            f"--cluster {name}: account {caller.account} has no EKS cluster of that name in {region}: correct it, "
            "or AWS_REGION (aws eks list-clusters)"
        )
    if cluster.issuer != issuer.value:
        raise InvalidNameError(
            f"--cluster {name} issues tokens as {cluster.issuer or 'none'}, but this cluster as {issuer}: name "
            "another cluster, or another context with --context"
        )
    return cluster


async def check_bucket(calls: AwsCalls, bucket: Bucket) -> str | None:
    """What a person should know of the bucket, or None. Raises InvalidNameError where it cannot be used."""
    found = await read_bucket(calls, bucket.name, bucket.region)
    if found.state is BucketState.MISSING:
        raise InvalidNameError(
            f"there is no bucket {bucket.name}: correct --bucket, or create it: aws s3 mb s3://{bucket.name}"
            f" --region {bucket.region}"
        )
    if found.region is not None and found.region != bucket.region:
        raise InvalidNameError(
            f"bucket {bucket.name} is in {found.region}, not in {bucket.region}: correct --region"
        )
    if found.state is BucketState.HIDDEN:
        return f"bucket {bucket.name} could not be looked at (s3:ListBucket): see that it is yours"
    return None


async def read_account(
    calls: AwsCalls, caller: CallerCheck, desired: DesiredAccount, cluster: EksCluster | None
) -> Found:
    """What is there of the desired account; docs/use/commands.md has the rights. Raises AwsError."""
    provider = OidcProvider(desired.provider_arn, None)
    if not desired.associates:
        provider = await read_provider(calls, desired.provider_arn)
    roles = {}
    for role in (*desired.bound_roles, desired.own_role):
        found = await _role(calls, role)
        if found is not None:
            roles[role] = found
    if not desired.associates or cluster is None:
        return Found(provider, roles)
    return Found(
        provider,
        roles,
        FoundAgent(await addon_status(calls, cluster.arn, AGENT), cluster.has_agent),
        await _association(calls, caller, desired, cluster),
    )


async def _association(
    calls: AwsCalls, caller: CallerCheck, desired: DesiredAccount, cluster: EksCluster
) -> Association | None:
    api = EksAssociations(calls, ClusterCheck(calls, caller, cluster.arn, lambda: desired.issuer))
    found = (await api.list(desired.program)).ids.get(desired.program)
    return None if found is None else await api.describe(found)


async def _role(calls: AwsCalls, role: RoleArn) -> FoundRole | None:
    found = await _document(calls, "GetRole", lambda iam: iam.get_role(RoleName=role.name)["Role"])
    if not isinstance(found, dict):
        return None
    if found["Arn"] != role.value:
        raise InvalidNameError(
            f"role {role.name} is there already as {legible(found['Arn'])}, but `setup` names roles without "
            f"a path, {role}: name another role"
        )
    policies = {}
    for name in (BUCKET_POLICY, OWN_POLICY, ASSOCIATION_POLICY):
        policy = await _document(calls, "GetRolePolicy", partial(_inline, role, name))
        if isinstance(policy, dict):
            policies[name] = policy
    return FoundRole(TrustPolicy.parse(found["AssumeRolePolicyDocument"]), policies)


def _inline(role: RoleArn, name: str, iam: IAMClient) -> object:
    return iam.get_role_policy(RoleName=role.name, PolicyName=name)["PolicyDocument"]


async def _document(calls: AwsCalls, operation: str, read: Callable[[IAMClient], object]) -> object | None:
    """What IAM answers, or None where there is no such role or policy."""
    try:
        return await calls.call(operation, lambda clients: read(clients.iam))
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return None
        raise
