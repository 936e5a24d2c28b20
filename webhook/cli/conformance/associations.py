"""The throw-away associations of a run, and the sessions that EKS gives for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.aws.calls import text
from webhook.aws.sessions import by_association
from webhook.cli.conformance.lab import Made, Once
from webhook.cli.conformance.permissions import NAME
from webhook.model.aws_errors import AwsError, FailureKind, Service
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.clients import AwsClients, SessionKeys
    from webhook.cli.conformance.cluster import Site
    from webhook.cli.conformance.lab import Lab
    from webhook.cli.conformance.roles import Roles
    from webhook.model.names import ClusterArn

_PAGE = 100


def removable_association(lab: Lab, cluster: ClusterArn, subject: Subject, known: list[str]) -> Made:
    """The association of a ServiceAccount, and how it is removed; `known` has its id once EKS has answered."""

    async def remove() -> None:
        if not known:  # no answer came, so it may be there, and the list may show it late
            await lab.until("a list shows the association", lambda: _found(lab, cluster, subject, known))
        for association_id in known:
            await _delete(lab, cluster, association_id)

    namespace, name = subject.namespace, subject.service_account
    command = (
        f"aws eks delete-pod-identity-association --cluster-name {cluster.name} --association-id "
        f"$(aws eks list-pod-identity-associations --cluster-name {cluster.name} --namespace {namespace} "
        f"--service-account {name} --query 'associations[0].associationId' --output text)"
    )
    return Made(f"the association of {namespace}/{name}", remove, command)


async def listed(lab: Lab, cluster: ClusterArn, subject: Subject) -> list[str]:
    """The ids of a ServiceAccount's associations. Raises AwsError."""
    found = await _page(lab, cluster, namespace=subject.namespace, serviceAccount=subject.service_account)
    return [text(one["associationId"]) for one in found["associations"]]


async def leftovers(lab: Lab, cluster: ClusterArn, namespace: str) -> list[Made]:
    """What earlier runs have left. Raises AwsError."""
    found: list[Made] = []
    more: dict[str, Any] = {}
    while True:
        page = await _page(lab, cluster, namespace=namespace, **more)
        for one in page["associations"]:
            if (name := text(one["serviceAccount"])).startswith(f"{NAME}-"):
                known = [text(one["associationId"])]
                found.append(removable_association(lab, cluster, Subject(namespace, name), known))
        if not page.get("nextToken"):
            return found
        more = {"nextToken": page["nextToken"]}


async def _page(lab: Lab, cluster: ClusterArn, **only: Any) -> Any:
    def ask(clients: AwsClients) -> Any:
        return clients.eks.list_pod_identity_associations(clusterName=cluster.name, maxResults=_PAGE, **only)

    return await lab.ask("ListPodIdentityAssociations", ask)


async def _found(lab: Lab, cluster: ClusterArn, subject: Subject, known: list[str]) -> bool:
    known += await listed(lab, cluster, subject)
    return bool(known)


async def _delete(lab: Lab, cluster: ClusterArn, association_id: str) -> None:
    def ask(clients: AwsClients) -> None:
        clients.eks.delete_pod_identity_association(clusterName=cluster.name, associationId=association_id)

    await lab.ask("DeletePodIdentityAssociation", ask)


class Associations:
    """The associations of a run. That of the throw-away ServiceAccount is made when it is first needed."""

    def __init__(self, lab: Lab, roles: Roles, site: Site) -> None:
        self._lab, self._roles = lab, roles
        self.workload = site.workload
        self.cluster = site.cluster
        self.subject = site.workload.subject
        self._first = Once(self._accepted)
        self._made: dict[str, Made] = {}
        self.began = 0.0
        """When the request for the first was sent."""

    def beside(self, suffix: str) -> Subject:
        """A ServiceAccount that need not exist, for a further association."""
        return Subject(self.subject.namespace, f"{self.subject.service_account}{suffix}")

    async def first(self) -> str:
        """The id of the throw-away ServiceAccount's. Raises AwsError, each time, where it could not be made."""
        return await self._first.get()

    async def _accepted(self) -> str:
        await self._roles.write(self._roles.by_token, self._roles.by_tags)
        return await self._lab.accepted(
            "EKS accepts the role",
            self._create_first,
            lambda error: error.kind in {FailureKind.ROLE_NOT_ACCEPTED, FailureKind.MALFORMED},
        )

    async def _create_first(self) -> str:
        self.began = self._lab.timing.now()
        return await self.create(self.subject)

    async def create(self, subject: Subject, keys: SessionKeys | None = None) -> str:
        """Create one with the first role and answer its id; with `keys` by that session. Raises AwsError."""
        role = await self._roles.first()
        known: list[str] = []

        def ask(clients: AwsClients) -> str:
            eks = clients.with_keys(Service.EKS, keys) if keys else clients.eks
            answer = eks.create_pod_identity_association(
                clusterName=self.cluster.name,
                namespace=subject.namespace,
                serviceAccount=subject.service_account,
                roleArn=role.value,
            )
            known.append(text(answer["association"]["associationId"]))
            return known[0]

        made = removable_association(self._lab, self.cluster, subject, known)
        found = await self._lab.make(made, lambda: self._lab.ask("CreatePodIdentityAssociation", ask))
        self._made[found] = made
        return found

    async def remove(self, association_id: str) -> None:
        """Remove a further one before the end. Raises AwsError."""
        await self._lab.remove(self._made.pop(association_id))

    async def describe(self, association_id: str) -> dict[str, Any]:
        """What EKS describes. Raises AwsError."""

        def ask(clients: AwsClients) -> dict[str, Any]:
            found = clients.eks.describe_pod_identity_association(
                clusterName=self.cluster.name, associationId=association_id
            )
            return dict(found["association"])

        return await self._lab.ask("DescribePodIdentityAssociation", ask)

    async def update(self, **changed: Any) -> None:
        """Change members of the first, and no others. Raises AwsError."""
        association_id = await self.first()

        def ask(clients: AwsClients) -> None:
            clients.eks.update_pod_identity_association(
                clusterName=self.cluster.name, associationId=association_id, **changed
            )

        what = f"updating the association: {', '.join(changed)}"
        await self._lab.change(what, "UpdatePodIdentityAssociation", ask)

    async def becomes(self, what: str, holds: Callable[[dict[str, Any]], bool]) -> bool:
        """Whether the first comes to be described so."""
        association_id = await self.first()

        async def look() -> bool:
            return holds(await self.describe(association_id))

        return await self._lab.until(what, look)

    async def ask_eks(self) -> SessionKeys:
        """Credentials of the first, as a pod gets them, by one request. Raises AwsError, ClusterError."""
        return await by_association(self._lab.calls, self.cluster, await self.workload.pod_token())

    async def is_given(self) -> bool:
        """Whether EKS gives credentials; a refusal is none. Raises AwsError where EKS has not answered."""
        try:
            await self.ask_eks()
        except AwsError as error:
            if not is_refusal_of_role(error):
                raise
            return False
        return True


def is_refusal_of_role(error: AwsError) -> bool:
    """Whether EKS may not assume the role, or knows of no association yet.

    Not a right that the caller lacks: AWS names the action in that.
    """
    is_refused = error.kind is FailureKind.ACCESS_DENIED and "is not authorized to perform" not in str(error)
    return is_refused or error.kind is FailureKind.NOT_FOUND
