"""EKS's Pod Identity associations of this cluster, behind the port that `webhook.podidentity` defines."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import InvalidNameError
from webhook.model.names import Subject
from webhook.podidentity.association import Association, Listing
from webhook.podidentity.ports import AssociationInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_eks import EKSClient
    from mypy_boto3_eks.type_defs import PodIdentityAssociationTypeDef

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.aws.cluster import ClusterCheck
    from webhook.model.names import RoleArn

T = TypeVar("T")

_PAGE = 100
"""Associations of a page, as EKS gives them at most."""

_LONGEST_TOKEN = 8192
"""Characters: it goes into a URL, and servers take no longer ones."""

_MOST_PAGES = 500
"""50,000 associations: ten times what a cluster may have by EKS's default quota."""

# ResourceInUseException names it in its message: "Association already exists: a-..." (crossplane/upjet-aws#2199).
_ID = re.compile(r"\ba-[a-z0-9]{6,}\b")


class EksAssociations:
    """The associations of this cluster, once the check has confirmed it, and of no other."""

    def __init__(self, calls: AwsCalls, cluster: ClusterCheck) -> None:
        self._calls = calls
        self._cluster = cluster

    async def list(self, only: Subject | None = None) -> Listing:
        """All of them, or the one of `only`, by ListPodIdentityAssociations, page by page.

        Raises AwsError also for pages that have no end, or that begin again.
        """
        ids: dict[Subject, str] = {}
        of_addons: set[str] = set()
        token: str | None = None
        tokens: set[str] = set()
        for _ in range(_MOST_PAGES):
            page, token = await self._call("ListPodIdentityAssociations", partial(_page, only, token))
            for subject, association_id, is_of_addon in page:
                if subject is None:
                    continue
                ids[subject] = association_id
                if is_of_addon:
                    of_addons.add(association_id)
            if not token:
                return Listing(ids, frozenset(of_addons))
            if token in tokens:
                raise _endless("a page names itself, or one before it, as the next")
            tokens.add(token)
        raise _endless(f"more than {_MOST_PAGES} pages of {_PAGE}")

    async def describe(self, association_id: str) -> Association | None:
        """One of them, by DescribePodIdentityAssociation; None where it is gone."""

        def describe(clients: AwsClients) -> Association | None:
            answer = clients.eks.describe_pod_identity_association(
                clusterName=self._cluster.name, associationId=association_id
            )
            return _association(answer["association"])

        await self._cluster.confirm()
        return await self._calls.find("DescribePodIdentityAssociation", describe)

    async def create(self, subject: Subject, role: RoleArn, tags: Mapping[str, str]) -> Association:
        """Make one, by CreatePodIdentityAssociation; boto3 gives each request a token of its own."""

        def create(eks: EKSClient, cluster: str) -> Association | None:
            answer = eks.create_pod_identity_association(
                clusterName=cluster,
                namespace=subject.namespace,
                serviceAccount=subject.service_account,
                roleArn=role.value,
                tags=dict(tags),
            )
            return _association(answer["association"])

        try:
            made = await self._call("CreatePodIdentityAssociation", create)
        except AwsError as error:
            if error.kind is FailureKind.IN_USE:
                named = _ID.search(str(error))
                raise AssociationInUseError(str(error), named[0] if named else None) from error
            if error.kind is FailureKind.NOT_FOUND:
                raise AwsError(FailureKind.NO_SUCH_CLUSTER, str(error)) from error
            raise
        if made is None or made.subject != subject:
            raise AwsError(FailureKind.UNEXPECTED, f"CreatePodIdentityAssociation: no answer about {subject}")
        return made

    async def update(self, association_id: str, role: RoleArn) -> None:
        """Have one give `role`, by UpdatePodIdentityAssociation."""

        def update(eks: EKSClient, cluster: str) -> None:
            eks.update_pod_identity_association(
                clusterName=cluster, associationId=association_id, roleArn=role.value, disableSessionTags=False
            )

        await self._call("UpdatePodIdentityAssociation", update)

    async def delete(self, association_id: str) -> None:
        """Delete one, by DeletePodIdentityAssociation; one that is gone counts as deleted."""

        def delete(clients: AwsClients) -> None:
            clients.eks.delete_pod_identity_association(
                clusterName=self._cluster.name, associationId=association_id
            )

        await self._cluster.confirm()
        await self._calls.find("DeletePodIdentityAssociation", delete)

    async def _call(self, operation: str, function: Callable[[EKSClient, str], T]) -> T:
        await self._cluster.confirm()
        return await self._calls.call(operation, lambda clients: function(clients.eks, self._cluster.name))


def _page(
    only: Subject | None, token: str | None, eks: EKSClient, cluster: str
) -> tuple[list[tuple[Subject | None, str, bool]], str | None]:
    """A page, each association with whether it is an add-on's, and the token of the next where there is one."""
    more: dict[str, Any] = {"nextToken": token} if token else {}
    if only:
        more |= {"namespace": only.namespace, "serviceAccount": only.service_account}
    answer = eks.list_pod_identity_associations(clusterName=cluster, maxResults=_PAGE, **more)
    if len(answer["associations"]) > _PAGE:
        raise ValueError("more associations than were asked for")
    listed = [
        (
            _subject(text(one["namespace"]), text(one["serviceAccount"])),
            text(one["associationId"]),
            bool(one.get("ownerArn")),
        )
        for one in answer["associations"]
    ]
    following = answer.get("nextToken")
    return listed, text(following, _LONGEST_TOKEN) if following else None


def _endless(why: str) -> AwsError:
    return AwsError(FailureKind.UNEXPECTED, f"ListPodIdentityAssociations: {why}: not AWS's answer")


def _association(found: PodIdentityAssociationTypeDef) -> Association | None:
    """What EKS describes; None for names that no ServiceAccount of Kubernetes has."""
    subject = _subject(text(found["namespace"]), text(found["serviceAccount"]))
    if subject is None:
        return None
    owner, target = found.get("ownerArn"), found.get("targetRoleArn")
    return Association(
        id=text(found["associationId"]),
        subject=subject,
        role=text(found["roleArn"]),
        tags={text(key): text(value) for key, value in found.get("tags", {}).items()},
        owner_arn=text(owner) if owner else None,
        session_tags=not found.get("disableSessionTags", False),
        target_role=text(target) if target else None,
    )


def _subject(namespace: str, service_account: str) -> Subject | None:
    try:
        return Subject(namespace, service_account)
    except InvalidNameError:
        return None
