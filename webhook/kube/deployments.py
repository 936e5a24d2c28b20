"""Deployments by name: read, retried and restarted, with the rights that each call needs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from webhook.kube.connection import MERGE_PATCH
from webhook.kube.errors import ConflictError, NotFoundError
from webhook.kube.lists import listed
from webhook.kube.objects import Name, name_of_role
from webhook.model.deployments import KUBECTL_RESTARTED, RESTARTED, RESTARTED_FOR, RETRIED, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.kube.connection import Connection
    from webhook.model.names import RoleArn


class _Condition(msgspec.Struct, frozen=True):
    type: str
    status: str = ""


class _Annotations(
    msgspec.Struct,
    rename={"restarted": KUBECTL_RESTARTED, "restarted_by_us": RESTARTED, "restarted_for": RESTARTED_FOR},
    frozen=True,
):
    restarted: str | None = None
    restarted_by_us: str | None = None
    restarted_for: str | None = None


class _TemplateMetadata(msgspec.Struct, frozen=True):
    annotations: _Annotations | None = None


class _PodSpec(msgspec.Struct, rename="camel", frozen=True):
    service_account_name: Name = "default"


class _Template(msgspec.Struct, frozen=True):
    metadata: _TemplateMetadata = _TemplateMetadata()
    spec: _PodSpec = _PodSpec()


class _Spec(msgspec.Struct, frozen=True):
    template: _Template
    replicas: int = 1
    paused: bool = False


class _Status(msgspec.Struct, rename="camel", frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: list[_Condition] = []


class _OwnMetadata(msgspec.Struct, rename="camel", frozen=True):
    name: Name = ""
    namespace: Name = ""
    uid: Name = ""
    resource_version: Name = ""
    generation: int = 0
    annotations: _Annotations | None = None


class DeploymentObject(msgspec.Struct, frozen=True):
    """A Deployment."""

    metadata: _OwnMetadata
    spec: _Spec
    status: _Status = _Status()

    def deployment(self) -> Deployment:
        """The Deployment as the program sees it."""
        metadata, template, status = self.metadata, self.spec.template, self.status
        noted = metadata.annotations or _Annotations()
        of_template = template.metadata.annotations or _Annotations()
        return Deployment(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            version=metadata.resource_version,
            service_account=template.spec.service_account_name,
            wanted=self.spec.replicas,
            made=status.replicas,
            updated=status.updated_replicas,
            available=status.available_replicas,
            is_current=status.observed_generation >= metadata.generation,
            is_paused=self.spec.paused,
            is_failing=any(one.type == "ReplicaFailure" and one.status == "True" for one in status.conditions),
            restarted_at=_moment(of_template.restarted),
            restarted_by_us=_moment(noted.restarted_by_us),
            restarted_for=_role(noted.restarted_for),
        )


class DeploymentApi:
    """The port Deployments (get, list and patch deployments, each by name)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, namespace: str, name: str) -> Deployment | None:
        """The Deployment as it is now, or None where there is none (get deployments)."""

        def call() -> Deployment:
            return self._connection.ask(DeploymentObject, "GET", _path(namespace, name)).deployment()

        try:
            return await self._connection.in_thread(call)
        except NotFoundError:
            return None

    async def named(self, name: str) -> list[Deployment]:
        """All of that name, in all namespaces (list deployments)."""
        return await self._connection.in_thread(lambda: list(self._named(name)))

    async def refused(self, name: str) -> list[Deployment]:
        """Those of that name, in all namespaces, whose pods are refused at the moment (list deployments)."""
        return await self._connection.in_thread(lambda: [one for one in self._named(name) if one.is_failing])

    def _named(self, name: str) -> Iterator[Deployment]:
        query = {"fieldSelector": f"metadata.name={name}"}
        for item in listed(self._connection, DeploymentObject, "/apis/apps/v1/deployments", query):
            yield item.deployment()

    async def retry(self, deployment: Deployment) -> bool:
        """Change an annotation of it, so that its ReplicaSet tries again at once (patch deployments)."""
        annotations = {RETRIED: datetime.now(UTC).isoformat()}
        return await self._patch(deployment, {"metadata": {"uid": deployment.uid, "annotations": annotations}})

    async def restart(
        self, deployment: Deployment, moment: float, role: RoleArn | None = None, *, noted: bool = True
    ) -> bool:
        """Restart it like `kubectl rollout restart`, unless it has changed since it was read (patch deployments).

        `noted` records the restart and its role on the Deployment. The running program never restarts one with
        such a record, so a restart for another reason leaves none.
        """
        stamp = _stamp(moment)
        metadata: dict[str, Any] = {"uid": deployment.uid, "resourceVersion": deployment.version}
        if noted:
            metadata["annotations"] = {RESTARTED: stamp, RESTARTED_FOR: role.value if role else None}
        template = {"metadata": {"annotations": {KUBECTL_RESTARTED: stamp}}}
        return await self._patch(deployment, {"metadata": metadata, "spec": {"template": template}})

    async def _patch(self, deployment: Deployment, body: dict[str, Any]) -> bool:
        path = _path(deployment.namespace, deployment.name)

        def call() -> DeploymentObject:
            return self._connection.ask(DeploymentObject, "PATCH", path, body=body, content_type=MERGE_PATCH)

        try:
            await self._connection.in_thread(call)
        except (NotFoundError, ConflictError):
            return False
        return True


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _moment(text: str | None) -> float | None:
    """An annotation's time in seconds since 1970; None where it is not a time, as others may write it."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _role(text: str | None) -> str | None:
    return None if text is None else name_of_role(text)


def _path(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
