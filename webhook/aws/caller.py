"""The identity of the program in AWS, and the rule that it never touches the role that it runs as."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import RoleArn

# GetCallerIdentity names a session by its role's name, without the path.
_SESSION = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<name>[^/]+)/.+")
_CALLER = re.compile(r"arn:[\w-]+:(sts|iam)::\d{12}:.+")


@dataclass(frozen=True, slots=True)
class Caller:
    """What GetCallerIdentity answers."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`, ..."""
        return self.arn.split(":")[1]

    def runs_as(self, role: RoleArn) -> bool:
        """Whether `role` is the one that this session was assumed from; names are unique in an account."""
        match = _SESSION.fullmatch(self.arn)
        return (
            match is not None and match["account"] == role.account and match["name"].lower() == role.name.lower()
        )

    def objection_to(self, role: RoleArn) -> str | None:
        """Why this caller must not write the trust policy of `role`, or None."""
        if self.runs_as(role):
            return (
                f"{role} is the role that this program runs as ({self.arn}): a trust policy that it writes for "
                "itself would hand out its own rights; bind another role"
            )
        if role.account != self.account:
            return (
                f"{role} is in account {role.account}, but the program's credentials are of account "
                f"{self.account} ({self.arn}): IAM changes roles of the caller's own account only; run it with "
                "credentials of the role's account, or use mode annotate"
            )
        return None


def _ask(clients: AwsClients) -> Caller:
    answer = clients.sts.get_caller_identity()
    caller = Caller(text(answer["Arn"]), text(answer["Account"]))
    if not _CALLER.fullmatch(caller.arn):
        raise ValueError("the caller's ARN is none")
    return caller


class CallerCheck:
    """Asks once for the caller; until AWS has answered, no trust policy is read or written."""

    def __init__(self, calls: AwsCalls) -> None:
        self._calls = calls
        self._caller: Caller | None = None

    async def caller(self) -> Caller:
        """The program's identity. Raises AwsError while it is not known."""
        if self._caller is None:
            self._caller = await self._calls.call("GetCallerIdentity", _ask)
        return self._caller

    async def allow(self, role: RoleArn) -> None:
        """Raise AwsError unless the program may read and write the trust policy of `role`."""
        objection = (await self.caller()).objection_to(role)
        if objection:
            raise AwsError(FailureKind.NOT_ALLOWED, objection)
