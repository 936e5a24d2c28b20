"""The real call that a pod makes: a ServiceAccount's token for credentials."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import RoleArn

_PAUSE = 1.0


async def seconds_until_accepted(calls: AwsCalls, role: RoleArn, token: str, patience: float) -> float:
    """Have STS assume `role` with `token` until it does; answers after how many seconds.

    Trust that was just written takes STS some seconds to see. Raises AwsError once `patience` seconds are over.
    """

    def assume(clients: AwsClients) -> None:
        answer = clients.sts_without_credentials.assume_role_with_web_identity(
            RoleArn=role.value, RoleSessionName="mxp-identity-verify", WebIdentityToken=token
        )
        text(answer["Credentials"]["AccessKeyId"])

    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            await calls.call("AssumeRoleWithWebIdentity", assume)
        except AwsError as error:
            may_pass = error.kind in {FailureKind.ACCESS_DENIED, FailureKind.THROTTLED, FailureKind.UNAVAILABLE}
            if not may_pass or loop.time() - began >= patience:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return loop.time() - began
