"""Whether the account has the cluster's OIDC provider with the right audience: without it STS accepts no token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.domain.names import AUDIENCE
from webhook.trust.ports import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """Whether the account has a provider; None where AWS does not say, with what it said instead."""

    exists: bool | None
    audiences: tuple[str, ...] = ()
    why: str = ""


async def provider_problem(calls: AwsCalls, provider_arn: str) -> str | None:
    """What is wrong with the OIDC provider, or why that is not known, as a sentence with the fix, or None."""
    return problem_of(provider_arn, await ask_for_provider(calls, provider_arn))


def problem_of(provider_arn: str, answer: ProviderAnswer) -> str | None:
    """The same, of an answer.

    Thumbprints are not looked at: AWS ignores them where the issuer's certificate is of a CA that it trusts.
    """
    url = "https://" + provider_arn.split(":oidc-provider/", 1)[1]
    if answer.exists is None:
        return f"the OIDC provider {provider_arn} could not be checked: {answer.why}"
    if not answer.exists:
        return (
            f"there is no OIDC provider {provider_arn}: STS refuses every token of this cluster; create it "
            f"with `aws iam create-open-id-connect-provider --url {url} --client-id-list {AUDIENCE}`"
        )
    if AUDIENCE not in answer.audiences:
        return (
            f"the OIDC provider {provider_arn} does not know the audience {AUDIENCE}: add it with `aws iam "
            "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "
            f"{provider_arn} --client-id {AUDIENCE}`"
        )
    return None


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
