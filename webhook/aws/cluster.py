"""This cluster as AWS has it: the EKS cluster of its name, and the OIDC provider of its issuer.

The name is checked: associations and trust in a cluster of a wrong name would be another cluster's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.names import ClusterArn
from webhook.model.oidc_provider import OidcProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.caller import CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import IssuerUrl, RoleArn


class ClusterCheck:
    """Asks once whether the named cluster is this one; until EKS confirms it, nothing is created for it."""

    def __init__(
        self, calls: AwsCalls, caller: CallerCheck, arn: ClusterArn, issuer: Callable[[], IssuerUrl]
    ) -> None:
        self._calls = calls
        self._caller = caller
        self._arn = arn
        self._issuer = issuer
        self._confirmed = False

    @property
    def name(self) -> str:
        """What EKS's API takes as the cluster's name."""
        return self._arn.name

    async def confirm(self) -> None:
        """Raise AwsError unless the cluster of that name is this one: NOT_ALLOWED for another, else EKS's error.

        Also raises what `issuer` raises while this cluster's issuer is not known.
        """
        issuer = self._issuer()
        if not self._confirmed:
            objection = await self._objection(issuer)
            if objection:
                raise AwsError(FailureKind.NOT_ALLOWED, objection)
            self._confirmed = True

    async def allow(self, role: RoleArn) -> None:
        """Raise AwsError unless EKS may assume `role` for the pods of this cluster."""
        await self._caller.allow(role)
        await self.confirm()

    async def _objection(self, own: IssuerUrl) -> str | None:
        def describe(clients: AwsClients) -> tuple[str, str]:
            found = clients.eks.describe_cluster(name=self.name)["cluster"]
            return text(found["identity"]["oidc"]["issuer"]), text(found["arn"])

        try:
            issuer, arn = await self._calls.call("DescribeCluster", describe)
        except AwsError as error:
            if error.kind is FailureKind.NOT_FOUND:
                raise AwsError(
                    FailureKind.NO_SUCH_CLUSTER, f"{error}: correct cluster.name, or the region (AWS_REGION)"
                ) from error
            raise
        if issuer != own.value:
            return (
                f"EKS cluster {self.name} issues tokens as {issuer}, but this cluster's are issued by "
                f"{own}: cluster.name names another cluster; correct it"
            )
        if arn != self._arn.value:
            return (
                f"EKS cluster {self.name} is {arn}, not {self._arn}: correct the region "
                "(AWS_REGION), or bind roles of its account"
            )
        return None


def cluster_arn(role: RoleArn, region: str, name: str) -> ClusterArn:
    """The ARN of the cluster of that name, in the account of a role: EKS takes no role of another account.

    Raises InvalidNameError for a name that EKS would not take.
    """
    return ClusterArn(f"arn:{role.partition}:eks:{region}:{role.account}:cluster/{name}")


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
