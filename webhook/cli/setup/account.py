"""Reading an account, and making the calls that it lacks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.oidc import read_provider
from webhook.cli.setup.prerequisites import BUCKET_POLICY, OWN_POLICY, Found, FoundRole
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient

    from webhook.aws.calls import AwsCalls
    from webhook.cli.iam_calls import IamCall
    from webhook.cli.setup.policies import DesiredAccount
    from webhook.model.names import RoleArn


async def read_account(calls: AwsCalls, desired: DesiredAccount) -> Found:
    """What is there (iam:GetOpenIDConnectProvider, iam:GetRole, iam:GetRolePolicy). Raises AwsError."""
    provider = await read_provider(calls, desired.provider_arn)
    roles = {}
    for role in (*desired.bound_roles, desired.own_role):
        found = await _role(calls, role)
        if found is not None:
            roles[role] = found
    return Found(provider, roles)


async def make(calls: AwsCalls, call: IamCall) -> None:
    """Make a call that is missing. Raises AwsError."""
    name = "".join("ID" if word == "id" else word.capitalize() for word in call.operation.split("_"))
    await calls.call(name, lambda clients: getattr(clients.iam, call.operation)(**call.parameters))


async def _role(calls: AwsCalls, role: RoleArn) -> FoundRole | None:
    document = await _document(
        calls, "GetRole", lambda iam: iam.get_role(RoleName=role.name)["Role"]["AssumeRolePolicyDocument"]
    )
    if document is None:
        return None
    policies = {}
    for name in (BUCKET_POLICY, OWN_POLICY):
        found = await _document(calls, "GetRolePolicy", partial(_inline, role, name))
        if isinstance(found, dict):
            policies[name] = found
    return FoundRole(TrustPolicy.parse(document), policies)


def _inline(role: RoleArn, name: str, iam: IAMClient) -> object:
    return iam.get_role_policy(RoleName=role.name, PolicyName=name)["PolicyDocument"]


async def _document(calls: AwsCalls, operation: str, read: Callable[[IAMClient], object]) -> object | None:
    """A document of IAM, or None where there is no such role or policy."""
    try:
        return await calls.call(operation, lambda clients: read(clients.iam))
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return None
        raise
