"""IAM's trust policies, behind the port that `webhook.iam` defines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from webhook.aws.calls import text
from webhook.iam.amendment import DEFAULT_QUOTA
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import RoleArn

log = structlog.get_logger(__name__)

_QUOTA_AGE = 3600.0
"""Seconds for which a quota is used before it is asked again; a raised quota takes effect within that time."""

_QUOTA_RETRY = 60.0
"""Seconds until it is asked again where that failed."""


class RoleCheck(Protocol):
    """Checks which roles the program may write."""

    async def allow(self, role: RoleArn) -> None:
        """Raise AwsError unless the program may read and write the trust policy of `role`."""


class AccountQuota:
    """The account's AssumeRolePolicySizeQuota, asked once an hour for all of its roles."""

    def __init__(self, calls: AwsCalls) -> None:
        self._calls = calls
        self._quota: int | None = None
        self._until = 0.0
        self._asking: asyncio.Task[int] | None = None

    async def characters(self) -> int:
        """The characters that a trust policy may have. Raises AwsError.

        Without the right to ask IAM's default, 2048, is assumed. Any other error is raised the first time:
        a guess that is too small would call a role full that is not. Later the last answer is good enough.

        Concurrent callers share one call and its outcome: if each waited for the failures of all others, the last
        of many roles would wait for minutes.
        """
        loop = asyncio.get_running_loop()
        if self._quota is not None and loop.time() < self._until:
            return self._quota
        if self._asking is None:
            self._asking = loop.create_task(self._found(), name="ask for the quota")
        return await asyncio.shield(self._asking)

    async def _found(self) -> int:
        try:
            now = asyncio.get_running_loop().time()
            if self._quota is None:
                self._quota, self._until = await self._ask(), now + _QUOTA_AGE
            else:
                self._quota, self._until = await self._renewed(self._quota, now)
            return self._quota
        finally:
            self._asking = None

    async def _renewed(self, last: int, now: float) -> tuple[int, float]:
        """The quota, and until when it is used."""
        try:
            return await self._ask(), now + _QUOTA_AGE
        except AwsError as error:
            log.warning("quota_not_renewed", reason=str(error), assumed_characters=last)
            return last, now + _QUOTA_RETRY

    async def _ask(self) -> int:
        def ask(clients: AwsClients) -> int:
            summary = clients.iam.get_account_summary()["SummaryMap"]
            return int(summary.get("AssumeRolePolicySizeQuota", DEFAULT_QUOTA))

        try:
            return await self._calls.call("GetAccountSummary", ask)
        except AwsError as error:
            if error.kind is not FailureKind.ACCESS_DENIED:
                raise
            assumed = self._quota or DEFAULT_QUOTA
            log.warning("quota_unknown", reason=str(error), assumed_characters=assumed)
            return assumed


class IamTrustPolicies:
    """Reads and writes trust policies, of roles that the check allows and of no others.

    `quota` is the account's, shared by all that read its roles.
    """

    def __init__(self, calls: AwsCalls, check: RoleCheck, quota: AccountQuota) -> None:
        self._calls = calls
        self._check = check
        self._quota = quota

    async def read(self, role: RoleArn) -> TrustPolicy:
        """The role's trust policy by GetRole. Raises AwsError, and InvalidPolicyError for what is no policy.

        IAM finds roles by name alone, so the answer's ARN is compared: a role of the same name under another
        path is not the one that was bound.
        """
        await self._check.allow(role)

        def read(clients: AwsClients) -> tuple[str, object]:
            found = clients.iam.get_role(RoleName=role.name)["Role"]
            return text(found["Arn"]), found["AssumeRolePolicyDocument"]

        arn, document = await self._calls.call("GetRole", read)
        if arn != role.value:
            raise AwsError(
                FailureKind.NO_SUCH_ROLE,
                f"GetRole: role {role.name} is {arn}, not {role}: correct the ARN in the binding",
            )
        return TrustPolicy.parse(document)

    async def write(self, role: RoleArn, policy: TrustPolicy, may_send: Callable[[], bool]) -> None:
        """Replace the role's trust policy by UpdateAssumeRolePolicy, if `may_send` holds when it is sent."""
        await self._check.allow(role)
        document = policy.text()

        def write(clients: AwsClients) -> None:
            iam = clients.iam
            with clients.sending_only_while(may_send):
                iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=document)

        await self._calls.call("UpdateAssumeRolePolicy", write)

    async def quota(self) -> int:
        """Characters that a trust policy may have. Raises AwsError."""
        return await self._quota.characters()
