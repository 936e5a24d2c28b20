"""What STS does with tokens of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.conformance.assumptions import ASSUMED_WITHIN
from webhook.cli.conformance.observation import judged, not_observed, says_nothing
from webhook.model.aws_errors import AwsError, FailureKind, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.clients import AwsClients, SessionKeys
    from webhook.cli.conformance.lab import Lab
    from webhook.cli.conformance.observation import Observation
    from webhook.cli.conformance.roles import Roles

_NO_PROVIDER = ("No OpenIDConnect provider", "Incorrect token audience")
"""How STS words that the account does not take the cluster's tokens, whatever the role trusts."""


async def not_trusted(_: Lab, roles: Roles) -> Observation:
    """Send a token for a role that trusts no token."""
    await roles.write(roles.placeholder)
    try:
        await roles.ask_sts()
    except AwsError as error:
        if says_nothing(error):
            raise
        if any(words in str(error) for words in _NO_PROVIDER):
            return not_observed(f"{error}; `mxp-identity setup` makes the provider")
        return judged(error.code, holds=error.code == "AccessDenied")
    return judged("accepted", holds=False)


async def assume_time(lab: Lab, roles: Roles) -> Observation:
    """Add the subject to the trust policy, and look when STS first accepts its token."""
    await roles.write(roles.by_token)
    began = lab.timing.now()
    try:
        await lab.accepted("STS accepts a token", roles.ask_sts, _is_refusal)
    except AwsError as error:
        if not _is_refusal(error):
            raise
        return judged(f"not accepted for {lab.timing.now() - began:.0f} s: {error}", holds=False)
    seconds = lab.timing.now() - began
    return judged(f"after {seconds:.0f} s", holds=seconds <= ASSUMED_WITHIN)


async def assume_stays(lab: Lab, roles: Roles) -> Observation:
    """Send tokens once a second after the first was accepted, and count the refusals."""
    await roles.keys()
    until = lab.timing.now() + lab.timing.watch
    asked = refused = 0
    while asked == 0 or lab.timing.now() < until:
        asked += 1
        try:
            await roles.ask_sts()
        except AwsError as error:
            if not _is_refusal(error):
                raise
            refused += 1
        await lab.timing.sleep(1.0)
    return judged(f"{refused} of {asked} tokens refused after the first was accepted", holds=not refused)


async def access_denied(lab: Lab, roles: Roles) -> Observation:
    """Call IAM and EKS as a role without any right."""
    keys, role = await roles.keys(), await roles.first()

    def get(clients: AwsClients) -> None:
        clients.with_keys(Service.IAM, keys).get_role(RoleName=role.name)

    def list_clusters(clients: AwsClients) -> None:
        clients.with_keys(Service.EKS, keys).list_clusters()

    by_iam, by_eks = await _code(lab, "GetRole", get), await _code(lab, "ListClusters", list_clusters)
    text = f"IAM: {by_iam or 'allowed'}; EKS: {by_eks or 'allowed'}"
    return judged(text, holds=(by_iam, by_eks) == ("AccessDenied", "AccessDeniedException"))


async def is_allowed(lab: Lab, keys: SessionKeys, operation: str, role: str) -> bool:
    """Whether a session may send a read of IAM about its role. Raises AwsError where IAM has not answered."""

    def ask(clients: AwsClients) -> None:
        iam = clients.with_keys(Service.IAM, keys)
        {"GetRole": iam.get_role, "ListRolePolicies": iam.list_role_policies}[operation](RoleName=role)

    return not await _code(lab, operation, ask)


async def _code(lab: Lab, operation: str, ask: Callable[[AwsClients], None]) -> str:
    """The code with which AWS refuses; empty where it does not. Raises AwsError where AWS has not answered."""
    try:
        await lab.ask(operation, ask)
    except AwsError as error:
        if says_nothing(error):
            raise
        return error.code
    return ""


def _is_refusal(error: AwsError) -> bool:
    return error.kind is FailureKind.ACCESS_DENIED


ROWS = {
    "not-trusted": not_trusted,
    "assume-time": assume_time,
    "assume-stays": assume_stays,
    "access-denied": access_denied,
}
