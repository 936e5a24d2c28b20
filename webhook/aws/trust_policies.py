"""IAM's trust policies, behind the port that `trust` defines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.domain.amendment import DEFAULT_QUOTA
from webhook.domain.trust_policy import TrustPolicy
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.caller import CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.domain.names import RoleArn

log = structlog.get_logger(__name__)

_QUOTA_AGE = 3600.0
"""Seconds for which a quota is used before it is asked again; a person who raised it waits no longer."""


class IamTrustPolicies:
    """Reads and writes trust policies, of roles that the caller check allows and of no others."""

    def __init__(self, calls: AwsCalls, caller: CallerCheck) -> None:
        self._calls = calls
        self._caller = caller
        self._quota = DEFAULT_QUOTA
        self._quota_until = 0.0
        self._asking = asyncio.Lock()

    async def read(self, role: RoleArn) -> TrustPolicy:
        """The role's trust policy by GetRole.

        IAM finds roles by name alone, so the answer's ARN is compared: a role of the same name under another
        path is not the one that was bound.
        """
        await self._caller.allow(role)
        answer = await self._calls.call("GetRole", self._calls.iam.get_role, RoleName=role.name)
        found = answer["Role"]["Arn"]
        if found != role.value:
            raise AwsError(
                FailureKind.NO_SUCH_ROLE,
                f"GetRole: role {role.name} is {found}, not {role}: correct the ARN in the binding",
            )
        return TrustPolicy.parse(answer["Role"].get("AssumeRolePolicyDocument"))

    async def write(self, role: RoleArn, policy: TrustPolicy) -> None:
        """Replace the role's trust policy by UpdateAssumeRolePolicy."""
        await self._caller.allow(role)
        await self._calls.call(
            "UpdateAssumeRolePolicy",
            self._calls.iam.update_assume_role_policy,
            RoleName=role.name,
            PolicyDocument=policy.text(),
        )

    async def quota(self) -> int:
        """The account's AssumeRolePolicySizeQuota, asked once an hour.

        Without the right to ask it is taken to be IAM's default, 2048. Any other error is raised: a guess that
        is too small would call a role full that is not.
        """
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now >= self._quota_until:
                self._quota = await self._ask_quota()
                self._quota_until = now + _QUOTA_AGE
            return self._quota

    async def _ask_quota(self) -> int:
        try:
            answer = await self._calls.call("GetAccountSummary", self._calls.iam.get_account_summary)
        except AwsError as error:
            if error.kind is not FailureKind.ACCESS_DENIED:
                raise
            log.warning("quota_unknown", reason=str(error), assumed_characters=DEFAULT_QUOTA)
            return DEFAULT_QUOTA
        return answer["SummaryMap"].get("AssumeRolePolicySizeQuota", DEFAULT_QUOTA)
