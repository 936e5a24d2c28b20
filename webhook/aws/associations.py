"""EKS's Pod Identity associations of our cluster, behind the port that `trust` defines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from webhook.domain.associations import Association, Listing
from webhook.domain.errors import InvalidNameError
from webhook.domain.names import Subject
from webhook.trust.ports import AssociationInUseError, AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_eks.type_defs import PodIdentityAssociationTypeDef

    from webhook.aws.calls import AwsCalls
    from webhook.aws.cluster import ClusterCheck
    from webhook.domain.names import RoleArn

_PAGE = 100
# ResourceInUseException says which in its text: "Association already exists: a-..." (crossplane/upjet-aws#2199).
_ID = re.compile(r"\ba-[a-z0-9]{6,}\b")


class EksAssociations:
    """The associations of the cluster that the check has confirmed to be ours, and of no other."""

    def __init__(self, calls: AwsCalls, cluster: ClusterCheck) -> None:
        self._calls = calls
        self._cluster = cluster

    async def list(self) -> Listing:
        """All of them, by ListPodIdentityAssociations, page by page."""
        ids: dict[Subject, str] = {}
        of_addons: set[str] = set()
        more: dict[str, Any] = {}
        while True:
            answer = await self._call(
                "ListPodIdentityAssociations",
                self._calls.eks.list_pod_identity_associations,
                maxResults=_PAGE,
                **more,
            )
            for one in answer["associations"]:
                if (subject := _subject(one["namespace"], one["serviceAccount"])) is None:
                    continue
                ids[subject] = one["associationId"]
                if one.get("ownerArn"):
                    of_addons.add(one["associationId"])
            if not (token := answer.get("nextToken")):
                return Listing(ids, frozenset(of_addons))
            more = {"nextToken": token}

    async def describe(self, association_id: str) -> Association | None:
        """One of them, by DescribePodIdentityAssociation."""
        try:
            answer = await self._call(
                "DescribePodIdentityAssociation",
                self._calls.eks.describe_pod_identity_association,
                associationId=association_id,
            )
        except AwsError as error:
            if error.kind is FailureKind.NOT_FOUND:
                return None
            raise
        return _association(answer["association"])

    async def create(self, subject: Subject, role: RoleArn, tags: Mapping[str, str]) -> Association:
        """Make one, by CreatePodIdentityAssociation; boto3 gives each request a token of its own."""
        try:
            answer = await self._call(
                "CreatePodIdentityAssociation",
                self._calls.eks.create_pod_identity_association,
                namespace=subject.namespace,
                serviceAccount=subject.service_account,
                roleArn=role.value,
                tags=dict(tags),
            )
        except AwsError as error:
            if error.kind is FailureKind.IN_USE:
                named = _ID.search(str(error))
                raise AssociationInUseError(str(error), named[0] if named else None) from error
            if error.kind is FailureKind.NOT_FOUND:
                raise AwsError(FailureKind.NO_SUCH_CLUSTER, str(error)) from error
            raise
        made = _association(answer["association"])
        if made is None:
            raise AwsError(FailureKind.UNAVAILABLE, f"CreatePodIdentityAssociation: no answer about {subject}")
        return made

    async def update(self, association_id: str, role: RoleArn) -> None:
        """Have one give `role`, by UpdatePodIdentityAssociation."""
        await self._call(
            "UpdatePodIdentityAssociation",
            self._calls.eks.update_pod_identity_association,
            associationId=association_id,
            roleArn=role.value,
            disableSessionTags=False,
        )

    async def delete(self, association_id: str) -> None:
        """Delete one, by DeletePodIdentityAssociation."""
        try:
            await self._call(
                "DeletePodIdentityAssociation",
                self._calls.eks.delete_pod_identity_association,
                associationId=association_id,
            )
        except AwsError as error:
            if error.kind is not FailureKind.NOT_FOUND:
                raise

    async def _call(self, operation: str, function: Any, **arguments: Any) -> Any:
        await self._cluster.confirm()
        return await self._calls.call(operation, function, clusterName=self._cluster.name, **arguments)


def _association(found: PodIdentityAssociationTypeDef) -> Association | None:
    """What EKS describes; None for names that no ServiceAccount of Kubernetes has."""
    subject = _subject(found.get("namespace", ""), found.get("serviceAccount", ""))
    if subject is None:
        return None
    return Association(
        id=found.get("associationId", ""),
        subject=subject,
        role=found.get("roleArn", ""),
        tags=found.get("tags", {}),
        owner_arn=found.get("ownerArn"),
        session_tags=not found.get("disableSessionTags", False),
        target_role=found.get("targetRoleArn"),
    )


def _subject(namespace: str, service_account: str) -> Subject | None:
    try:
        return Subject(namespace, service_account)
    except InvalidNameError:
        return None
