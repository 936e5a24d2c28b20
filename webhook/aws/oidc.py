"""Reading an account's OIDC provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.oidc_provider import OidcProvider

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients


async def read_provider(calls: AwsCalls, arn: str) -> OidcProvider:
    """The OIDC provider, or what the account has in its place (iam:GetOpenIDConnectProvider). Raises AwsError."""

    def ask(clients: AwsClients) -> tuple[str, ...]:
        answer = clients.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        answer["Url"]  # each provider has one, and need not have an audience
        return tuple(text(one) for one in answer.get("ClientIDList", []))

    try:
        return OidcProvider(arn, await calls.call("GetOpenIDConnectProvider", ask))
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return OidcProvider(arn, None)
        raise
