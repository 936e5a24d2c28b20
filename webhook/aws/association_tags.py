"""Tags of a cluster's Pod Identity associations: commands change them, the running program does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.aws.cluster import ClusterCheck
    from webhook.model.names import ClusterArn


class AssociationTags:
    """Of the cluster `arn`, once `cluster` has confirmed that it is this one. All raise AwsError."""

    def __init__(self, calls: AwsCalls, cluster: ClusterCheck, arn: ClusterArn) -> None:
        self._calls = calls
        self._cluster = cluster
        self._associations = arn.value.replace(":cluster/", ":podidentityassociation/")

    async def add(self, association_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of one, by TagResource; its other tags stay."""
        await self._cluster.confirm()

        def add(clients: AwsClients) -> None:
            clients.eks.tag_resource(resourceArn=self._arn(association_id), tags=dict(tags))

        await self._calls.call("TagResource", add)

    async def remove(self, association_id: str, keys: Collection[str]) -> None:
        """Remove tags of one, by UntagResource. It is no error where it lacks them, or is gone."""
        await self._cluster.confirm()

        def remove(clients: AwsClients) -> None:
            clients.eks.untag_resource(resourceArn=self._arn(association_id), tagKeys=list(keys))

        try:
            await self._calls.call("UntagResource", remove)
        except AwsError as error:
            if error.kind is not FailureKind.NOT_FOUND:
                raise

    def _arn(self, association_id: str) -> str:
        """It is not below the cluster's (Service Authorization Reference, EKS)."""
        return f"{self._associations}/{association_id}"
