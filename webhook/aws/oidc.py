"""Whether the account has the cluster's OIDC provider with the right audience: without it STS accepts no token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.aws.values import text
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients


async def provider_audiences(calls: AwsCalls, provider_arn: str) -> tuple[str, ...] | None:
    """The audiences of an OIDC provider (iam:GetOpenIDConnectProvider); None where the account has none.

    Raises AwsError where AWS does not say.
    """

    def ask(clients: AwsClients) -> tuple[str, ...]:
        answer = clients.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider_arn)
        answer["Url"]  # each provider has one, and need not have an audience
        return tuple(text(one) for one in answer.get("ClientIDList", []))

    try:
        return await calls.call("GetOpenIDConnectProvider", ask)
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return None
        raise


def provider_problem(provider_arn: str, audiences: Collection[str] | None) -> str | None:
    """What is wrong with an OIDC provider of these audiences, as a sentence with the fix, or None.

    Thumbprints are not looked at: AWS ignores them where the issuer's certificate is of a CA that it trusts.
    """
    if audiences is None:
        url = "https://" + provider_arn.split(":oidc-provider/", 1)[1]
        return (
            f"there is no OIDC provider {provider_arn}: STS refuses every token of this cluster; create it "
            f"with `aws iam create-open-id-connect-provider --url {url} --client-id-list {AUDIENCE}`"
        )
    if AUDIENCE not in audiences:
        return (
            f"the OIDC provider {provider_arn} does not know the audience {AUDIENCE}: add it with `aws iam "
            "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "
            f"{provider_arn} --client-id {AUDIENCE}`"
        )
    return None
