"""Reading what an account has of the blueprint, and carrying out its steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.oidc import read_provider
from webhook.cli.setup.found import BUCKET_POLICY, OWN_POLICY, Found, FoundRole
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.cli.setup.documents import DesiredAccount
    from webhook.cli.setup.prerequisites import IamCall
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


async def carry_out(calls: AwsCalls, step: IamCall) -> None:
    """Make the call. Raises AwsError."""
    words = step.operation.split("_")
    operation = "".join("ID" if word == "id" else word.capitalize() for word in words)

    def carry_out(clients: AwsClients) -> None:
        getattr(clients.iam, step.operation)(**step.parameters)

    await calls.call(operation, carry_out)


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
