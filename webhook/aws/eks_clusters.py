"""EKS's clusters for a person who sets one up: by name, or by the issuer of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.names import ClusterArn

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import IssuerUrl

_LONGEST_TOKEN = 8192
"""Characters: it goes into a URL, and servers take no longer ones."""

_MOST_PAGES = 20
"""2,000 clusters: many times what an account may have in a region by EKS's default quota, 100."""


@dataclass(frozen=True, slots=True)
class EksCluster:
    """A cluster as EKS describes it."""

    arn: ClusterArn
    issuer: str
    has_agent: bool
    """Whether its nodes have the agent of EKS Pod Identity without an add-on (EKS User Guide, Auto Mode)."""


async def describe_cluster(calls: AwsCalls, name: str) -> EksCluster | None:
    """The cluster of that name; None where there is none (eks:DescribeCluster). Raises AwsError."""

    def ask(clients: AwsClients) -> EksCluster:
        found: Any = clients.eks.describe_cluster(name=name)["cluster"]
        issuer = found.get("identity", {}).get("oidc", {}).get("issuer", "")
        is_auto = found.get("computeConfig", {}).get("enabled") is True
        return EksCluster(ClusterArn(text(found["arn"])), text(issuer), is_auto)

    return await calls.find("DescribeCluster", ask)


async def cluster_with_issuer(calls: AwsCalls, issuer: IssuerUrl) -> EksCluster | None:
    """The region's cluster whose tokens `issuer` signs (eks:ListClusters, eks:DescribeCluster).

    Raises AwsError, also where the region has more clusters than are asked.
    """
    for name in await calls.call("ListClusters", _names):
        found = await describe_cluster(calls, name)
        if found is not None and found.issuer == issuer.value:
            return found
    return None


def _names(clients: AwsClients) -> list[str]:
    names: list[str] = []
    more: dict[str, Any] = {}
    for _ in range(_MOST_PAGES):
        page = clients.eks.list_clusters(**more)
        names += [text(name) for name in page["clusters"]]
        if not page.get("nextToken"):
            return names
        more = {"nextToken": text(page["nextToken"], _LONGEST_TOKEN)}
    raise AwsError(
        FailureKind.UNEXPECTED, f"the region has more than {len(names)} clusters: name yours with --cluster"
    )


async def addon_status(calls: AwsCalls, cluster: ClusterArn, addon: str) -> str | None:
    """The status of an add-on, such as ACTIVE; None where it is not installed (eks:DescribeAddon)."""

    def ask(clients: AwsClients) -> str:
        return text(clients.eks.describe_addon(clusterName=cluster.name, addonName=addon)["addon"]["status"])

    return await calls.find("DescribeAddon", ask)
