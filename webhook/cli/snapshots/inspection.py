"""What commands alone ask of the API server: pods with their variables, the registration, dry runs and tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from webhook.cli.suggested_commands import PROGRAM_LABEL
from webhook.kube.connection import MERGE_PATCH
from webhook.kube.deployments import DeploymentObject
from webhook.kube.errors import NotFoundError, RefusedError
from webhook.kube.lists import listed
from webhook.kube.objects import AnnotatedObject, Metadata, WebhookConfiguration
from webhook.kube.pods import PodObject
from webhook.model.names import AUDIENCE, ROLE_ARN_ANNOTATION, Subject
from webhook.podidentity.association_cache import PROPAGATED_WITHIN
from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.kube.connection import Connection
    from webhook.model.bindings import Mode
    from webhook.model.deployments import Deployment

T = TypeVar("T")

_SECONDS = 35.0
"""The API server waits for a webhook for 30 s at most."""

UNSEEN_SECONDS = PROPAGATED_WITHIN + 5.0
"""How long it takes where no dry run can show it: some more than that usually takes."""

_ASK_SECONDS = 0.5
_ANSWERS_ALIKE = 3
"""EKS runs several replicas of its webhook; an association does not reach all at the same moment."""

_SEEN_WITHIN = 90.0
"""Seconds within which an association is propagated: 5 to 15 by reports (eks-pod-identity-agent#52)."""

_LITTLE = {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "16Mi"}
_OWN = {"labelSelector": PROGRAM_LABEL}
_DRY_RUN = {"dryRun": "All"}
_TOKEN_SECONDS = 600
_RELEASE = "app.kubernetes.io/instance"
_REGISTRATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


class EventObject(msgspec.Struct, rename="camel", frozen=True):
    """An Event; `last_timestamp` sorts as it stands."""

    metadata: Metadata
    message: str = ""
    last_timestamp: str | None = None


class _Labels(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


class _Labelled(msgspec.Struct, frozen=True):
    metadata: _Labels


class _TokenStatus(msgspec.Struct, frozen=True):
    token: str


class _Token(msgspec.Struct, frozen=True):
    status: _TokenStatus


@dataclass(frozen=True, slots=True)
class BoundPod:
    """The pod that a token is for."""

    name: str
    uid: str


async def list_objects(
    connection: Connection, kind: type[T], path: str, query: Mapping[str, str] | None = None
) -> list[T]:
    """The objects of a list, with the rights of the caller. Raises ClusterError."""
    return await connection.in_thread(lambda: list(listed(connection, kind, path, query or {})))


class Inspection:
    """Single requests, with the rights of the caller. All raise ClusterError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accounts(self, name: str, namespace: str | None) -> dict[str, dict[str, str]]:
        """Annotations of the ServiceAccounts of that name, by namespace (list serviceaccounts)."""
        query = {"fieldSelector": f"metadata.name={name}"}
        found = await self._list(_path("serviceaccounts", namespace), query, AnnotatedObject)
        return {item.metadata.namespace: item.metadata.annotations or {} for item in found}

    async def all_accounts(self) -> dict[Subject, str | None]:
        """Every ServiceAccount, and the role that its annotation names (list serviceaccounts)."""
        found = await self._list(_path("serviceaccounts", None), {}, AnnotatedObject)
        every = (one.metadata for one in found)
        return {
            Subject(one.namespace, one.name): (one.annotations or {}).get(ROLE_ARN_ANNOTATION) for one in every
        }

    async def pods(self, service_account: str, namespace: str | None) -> list[PodObject]:
        """Pods that run as that ServiceAccount (list pods)."""
        query = {"fieldSelector": f"spec.serviceAccountName={service_account}"}
        return await self._list(_path("pods", namespace), query, PodObject)

    async def own_pods(self, namespace: str) -> list[PodObject]:
        """The program's pods in its namespace (list pods)."""
        return await self._list(_path("pods", namespace), _OWN, PodObject)

    async def events(self, account: str, reason: str, namespace: str | None) -> dict[str, str]:
        """The newest message of that reason about ServiceAccounts of that name, by namespace (list events)."""
        about = f"involvedObject.kind=ServiceAccount,involvedObject.name={account},reason={reason}"
        found = await self._list(_path("events", namespace), {"fieldSelector": about}, EventObject)
        newest = sorted(found, key=lambda item: item.last_timestamp or "")
        return {item.metadata.namespace: item.message for item in newest}

    async def own_deployments(self, namespace: str) -> list[Deployment]:
        """The program's Deployments in its namespace (list deployments)."""
        found = await self._list(f"/apis/apps/v1/namespaces/{namespace}/deployments", _OWN, DeploymentObject)
        return [item.deployment() for item in found]

    async def own_release(self, namespace: str) -> str:
        """The program's Helm release, by its ConfigMaps (list configmaps); empty where they name none or many."""
        found = await self._list(_path("configmaps", namespace), _OWN, _Labelled)
        names = {item.metadata.labels.get(_RELEASE, "") for item in found}
        return names.pop() if len(names) == 1 else ""

    async def registrations(self, webhook: str) -> list[WebhookConfiguration]:
        """The configurations that have a webhook of that name (list mutatingwebhookconfigurations)."""
        found = await self._list(_REGISTRATIONS, {}, WebhookConfiguration)
        return [item for item in found if any(one.name == webhook for one in item.webhooks or ())]

    async def role_after_dry_run(self, subject: Subject) -> str | None:
        """The role with which a ServiceAccount is returned that is sent without one, as a dry run.

        (patch serviceaccounts; where there is none, create serviceaccounts)
        """
        collection = f"/api/v1/namespaces/{subject.namespace}/serviceaccounts"
        patch = {"metadata": {"annotations": {ROLE_ARN_ANNOTATION: None}}}
        try:
            path = f"{collection}/{subject.service_account}"
            found = await self._call(AnnotatedObject, "PATCH", path, patch, MERGE_PATCH, _DRY_RUN)
        except NotFoundError:
            item = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": subject.service_account}}
            found = await self._call(AnnotatedObject, "POST", collection, item, query=_DRY_RUN)
        return (found.metadata.annotations or {}).get(ROLE_ARN_ANNOTATION)

    async def variables_of_a_new_pod(self, subject: Subject) -> frozenset[Mode] | None:
        """The ways for which a pod of the ServiceAccount would get variables, by a dry run (create pods).

        None where such a pod is refused, or its namespace is gone.
        """
        path = f"/api/v1/namespaces/{subject.namespace}/pods"
        try:
            pod = trial_pod(subject.service_account)
            found = await self._call(PodObject, "POST", path, pod, query=_DRY_RUN)
        except (RefusedError, NotFoundError):
            return None
        return found.carries

    async def token(self, subject: Subject, audience: str = AUDIENCE, pod: BoundPod | None = None) -> str:
        """A token as a pod gets it, for STS unless another `audience` is given (create serviceaccounts/token)."""
        path = f"/api/v1/namespaces/{subject.namespace}/serviceaccounts/{subject.service_account}/token"
        spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": _TOKEN_SECONDS}
        if pod:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return (await self._call(_Token, "POST", path, request)).status.token

    async def _list(self, path: str, query: dict[str, str], kind: type[Any]) -> list[Any]:
        return await list_objects(self._connection, kind, path, query)

    async def _call(  # noqa: PLR0913, PLR0917  the parts of an HTTP request
        self,
        kind: type[T],
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> T:
        return await self._connection.in_thread(
            lambda: self._connection.ask(
                kind, method, path, query=query, body=body, content_type=content_type, seconds=_SECONDS
            )
        )


async def until_propagated(inspection: Inspection, subject: Subject, target: Mode, unseen: float) -> str:
    """Wait until a new pod would get the variables of `target`, by dry runs; answers why not, or nothing.

    Where a trial is not possible (no right, no ServiceAccount yet) it waits `unseen` seconds.
    """
    clock = loop_clock()
    until = clock() + _SEEN_WITHIN
    alike = 0
    while alike < _ANSWERS_ALIKE:
        carried = await inspection.variables_of_a_new_pod(subject)
        if carried is None:
            await asyncio.sleep(unseen)
            return ""
        alike = alike + 1 if carried == {target} else 0
        if clock() > until:
            return f"EKS's pod identity webhook does not give new pods mode {target} yet"
        await asyncio.sleep(_ASK_SECONDS)
    return ""


def trial_pod(service_account: str) -> dict[str, Any]:
    """A pod that Pod Security at its strictest (`restricted`) allows, and quotas of any resource.

    (kubernetes.io/docs/concepts/security/pod-security-standards)
    """
    container = {
        "name": "probe",
        "image": "registry.invalid/mxp-identity-probe",
        "resources": {"requests": _LITTLE, "limits": _LITTLE},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "mxp-identity-probe-"},
        "spec": {
            "serviceAccountName": service_account,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def _path(resource: str, namespace: str | None) -> str:
    """Where those of one namespace are, or of all."""
    return f"/api/v1/namespaces/{namespace}/{resource}" if namespace else f"/api/v1/{resource}"
