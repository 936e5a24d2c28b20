"""The cluster's part of a run: a throw-away ServiceAccount, its tokens, and a pod that is never scheduled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from webhook.cli.conformance.lab import Made, Once
from webhook.cli.conformance.permissions import NAME
from webhook.cli.snapshots.inspection import BoundPod, Inspection, list_objects, trial_pod
from webhook.iam.statement import SERVICE
from webhook.kube.errors import NotFoundError
from webhook.kube.objects import AnnotatedObject
from webhook.kube.pods import PodObject
from webhook.model.names import Subject

if TYPE_CHECKING:
    from webhook.cli.conformance.lab import Lab
    from webhook.kube.connection import Connection
    from webhook.model.bindings import Mode
    from webhook.model.names import ClusterArn, IssuerUrl

_LABELS = {"app.kubernetes.io/managed-by": NAME}
_SELECTOR = {"labelSelector": f"app.kubernetes.io/managed-by={NAME}"}
_KINDS = {"serviceaccounts": "ServiceAccount", "pods": "pod"}


class Workload:
    """The ServiceAccount and its pod, each made when it is first needed. All raise ClusterError."""

    def __init__(self, lab: Lab, connection: Connection, namespace: str) -> None:
        self._lab = lab
        self._connection = connection
        self._inspection = Inspection(connection)
        self._account = Once(self._create_account)
        self._pod = Once(self._create_pod)
        self.subject = Subject(namespace, lab.name)
        """The ServiceAccount."""

    async def token(self) -> str:
        """A token of the ServiceAccount for STS (create serviceaccounts/token)."""
        await self._account.get()
        return await self._inspection.token(self.subject)

    async def pod_token(self) -> str:
        """A token of the pod for EKS, as the kubelet projects it (create serviceaccounts/token)."""
        return await self._inspection.token(self.subject, SERVICE, await self._pod.get())

    async def carried_by_a_new_pod(self) -> frozenset[Mode] | None:
        """The ways for which a new pod would get variables, by a dry run; None where it is refused."""
        await self._account.get()
        return await self._inspection.variables_of_a_new_pod(self.subject)

    async def leftovers(self) -> list[Made]:
        """What earlier runs have left in the namespace (list serviceaccounts, pods)."""
        found: list[Made] = []
        for resource in _KINDS:
            items = await list_objects(self._connection, AnnotatedObject, self._path(resource), _SELECTOR)
            found += [self._removable(resource, item.metadata.name) for item in items]
        return found

    async def _create_account(self) -> None:
        item = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self._metadata()}
        await self._make("serviceaccounts", item, AnnotatedObject)

    async def _create_pod(self) -> BoundPod:
        """Create a pod that no scheduler takes, so that it never runs."""
        await self._account.get()
        pod = trial_pod(self.subject.service_account)
        pod["metadata"] = self._metadata()
        pod["spec"]["schedulerName"] = NAME
        found: PodObject = await self._make("pods", pod, PodObject)
        return BoundPod(found.metadata.name, found.metadata.uid)

    async def _make(self, resource: str, item: dict[str, Any], kind: type[Any]) -> Any:
        made = self._removable(resource, self._lab.name)
        return await self._lab.make(made, lambda: self._ask(kind, "POST", self._path(resource), item))

    def _removable(self, resource: str, name: str) -> Made:
        path = f"{self._path(resource)}/{name}"

        async def remove() -> None:
            try:
                await self._ask(msgspec.Raw, "DELETE", path, {"gracePeriodSeconds": 0})
            except NotFoundError:
                return

        command = f"kubectl delete -n {self.subject.namespace} {resource} {name}"
        return Made(f"{_KINDS[resource]} {self.subject.namespace}/{name}", remove, command)

    def _metadata(self) -> dict[str, Any]:
        return {"name": self._lab.name, "labels": _LABELS}

    def _path(self, resource: str) -> str:
        return f"/api/v1/namespaces/{self.subject.namespace}/{resource}"

    async def _ask(self, kind: type[Any], method: str, path: str, body: dict[str, Any]) -> Any:
        return await self._connection.in_thread(lambda: self._connection.ask(kind, method, path, body=body))


@dataclass(frozen=True, slots=True)
class Site:
    """The cluster that a run works in."""

    cluster: ClusterArn
    issuer: IssuerUrl
    workload: Workload
