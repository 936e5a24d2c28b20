"""Whether the account has the cluster's OIDC provider with the right audience: without it STS accepts no token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.domain.names import AUDIENCE
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls


async def provider_problem(calls: AwsCalls, provider_arn: str) -> str | None:
    """What is wrong with the OIDC provider, as a sentence with the fix, or None.

    Thumbprints are not looked at: AWS ignores them where the issuer's certificate is of a CA that it trusts.
    """
    url = "https://" + provider_arn.split(":oidc-provider/", 1)[1]
    try:
        answer = await calls.call(
            "GetOpenIDConnectProvider",
            calls.iam.get_open_id_connect_provider,
            OpenIDConnectProviderArn=provider_arn,
        )
    except AwsError as error:
        if error.kind is FailureKind.NO_SUCH_ROLE:
            return (
                f"there is no OIDC provider {provider_arn}: STS refuses every token of this cluster; create it "
                f"with `aws iam create-open-id-connect-provider --url {url} --client-id-list {AUDIENCE}`"
            )
        return f"the OIDC provider {provider_arn} could not be checked: {error}"
    if AUDIENCE not in answer.get("ClientIDList", []):
        return (
            f"the OIDC provider {provider_arn} does not know the audience {AUDIENCE}: add it with `aws iam "
            "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "
            f"{provider_arn} --client-id {AUDIENCE}`"
        )
    return None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """Whether the account has a provider; None where AWS does not say, with what it said instead."""

    exists: bool | None
    audiences: tuple[str, ...] = ()
    why: str = ""


async def ask_for_provider(calls: AwsCalls, provider_arn: str) -> ProviderAnswer:
    """The OIDC provider as IAM has it (iam:GetOpenIDConnectProvider); never raises AwsError."""
    try:
        answer = await calls.call(
            "GetOpenIDConnectProvider",
            calls.iam.get_open_id_connect_provider,
            OpenIDConnectProviderArn=provider_arn,
        )
    except AwsError as error:
        return ProviderAnswer(False if error.kind is FailureKind.NO_SUCH_ROLE else None, why=str(error))
    return ProviderAnswer(exists=True, audiences=tuple(answer.get("ClientIDList", [])))
