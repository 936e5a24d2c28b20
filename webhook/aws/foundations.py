"""Reading what an account has of the blueprint, and carrying out its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.aws.oidc import ask_for_provider
from webhook.blueprint.found import BUCKET_POLICY, OWN_POLICY, Found, FoundRole
from webhook.domain.trust_policy import TrustPolicy
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.blueprint.documents import Wish
    from webhook.blueprint.steps import Step
    from webhook.domain.names import RoleArn


async def look_at_account(calls: AwsCalls, wish: Wish) -> Found:
    """What is there (iam:GetOpenIDConnectProvider, iam:GetRole, iam:GetRolePolicy). Raises AwsError."""
    provider = await ask_for_provider(calls, wish.provider_arn)
    if provider.exists is None:
        raise AwsError(FailureKind.ACCESS_DENIED, provider.why)
    roles = {}
    for role in (*wish.bound_roles, wish.own_role):
        found = await _role(calls, role)
        if found is not None:
            roles[role] = found
    return Found(provider.audiences if provider.exists else None, roles)


async def carry_out(calls: AwsCalls, step: Step) -> None:
    """Make the call. Raises AwsError."""
    name = calls.iam.meta.method_to_api_mapping[step.operation]
    await calls.call(name, getattr(calls.iam, step.operation), **step.parameters)


async def _role(calls: AwsCalls, role: RoleArn) -> FoundRole | None:
    try:
        answer = await calls.call("GetRole", calls.iam.get_role, RoleName=role.name)
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return None
        raise
    policies = {}
    for name in (BUCKET_POLICY, OWN_POLICY):
        document = await _inline(calls, role, name)
        if document is not None:
            policies[name] = document
    return FoundRole(TrustPolicy.parse(answer["Role"].get("AssumeRolePolicyDocument")), policies)


async def _inline(calls: AwsCalls, role: RoleArn, name: str) -> dict[str, Any] | None:
    try:
        answer = await calls.call("GetRolePolicy", calls.iam.get_role_policy, RoleName=role.name, PolicyName=name)
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return None
        raise
    document: Any = answer["PolicyDocument"]
    return document if isinstance(document, dict) else None
