"""IAM's trust policies, behind the port that `trust` defines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from webhook.domain.amendment import DEFAULT_QUOTA
from webhook.domain.trust_policy import TrustPolicy
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.domain.names import RoleArn

log = structlog.get_logger(__name__)

_QUOTA_AGE = 3600.0
"""Seconds for which a quota is used before it is asked again; a person who raised it waits no longer."""

_QUOTA_RETRY = 60.0
"""Seconds until it is asked again where that failed."""


class RoleCheck(Protocol):
    """Says which roles are ours to write."""

    async def allow(self, role: RoleArn) -> None:
        """Raise AwsError unless we may read and write the trust policy of `role`."""


class IamTrustPolicies:
    """Reads and writes trust policies, of roles that the check allows and of no others."""

    def __init__(self, calls: AwsCalls, check: RoleCheck) -> None:
        self._calls = calls
        self._check = check
        self._quota: int | None = None
        self._quota_until = 0.0
        self._asking = asyncio.Lock()

    async def read(self, role: RoleArn) -> TrustPolicy:
        """The role's trust policy by GetRole.

        IAM finds roles by name alone, so the answer's ARN is compared: a role of the same name under another
        path is not the one that was bound.
        """
        await self._check.allow(role)
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
        await self._check.allow(role)
        await self._calls.call(
            "UpdateAssumeRolePolicy",
            self._calls.iam.update_assume_role_policy,
            RoleName=role.name,
            PolicyDocument=policy.text(),
        )

    async def quota(self) -> int:
        """The account's AssumeRolePolicySizeQuota, asked once an hour.

        Without the right to ask it is taken to be IAM's default, 2048. Any other error is raised the first time:
        a guess that is too small would call a role full that is not. Later the last answer is good enough.
        """
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._quota is None:
                self._quota, self._quota_until = await self._ask_quota(), now + _QUOTA_AGE
            elif now >= self._quota_until:
                self._quota, self._quota_until = await self._renewed(self._quota, now)
            return self._quota

    async def _renewed(self, last: int, now: float) -> tuple[int, float]:
        """The quota, and until when it is used."""
        try:
            return await self._ask_quota(), now + _QUOTA_AGE
        except AwsError as error:
            log.warning("quota_not_renewed", reason=str(error), assumed_characters=last)
            return last, now + _QUOTA_RETRY

    async def _ask_quota(self) -> int:
        try:
            answer = await self._calls.call("GetAccountSummary", self._calls.iam.get_account_summary)
        except AwsError as error:
            if error.kind is not FailureKind.ACCESS_DENIED:
                raise
            assumed = self._quota or DEFAULT_QUOTA
            log.warning("quota_unknown", reason=str(error), assumed_characters=assumed)
            return assumed
        return answer["SummaryMap"].get("AssumeRolePolicySizeQuota", DEFAULT_QUOTA)
