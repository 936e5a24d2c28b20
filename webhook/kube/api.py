"""The single calls that the program makes, each with its path and the right that it needs."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING

import msgspec

from webhook.kube.connection import JSON_PATCH, MERGE_PATCH
from webhook.kube.errors import ConflictError, NotFoundError
from webhook.kube.lists import listed
from webhook.kube.objects import AnnotatedObject, NamespaceObject, ServiceAccountObject, decode, labels_reader
from webhook.kube.pods import PodObject
from webhook.kube.watches import Resource
from webhook.model.errors import ClusterError
from webhook.model.names import ROLE_ARN_ANNOTATION
from webhook.model.patches import annotation_patch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from webhook.controller.ports import RunningPod
    from webhook.kube.connection import Connection
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn, Subject

_REVIEWED_SECONDS = 35.0
"""The API server waits for a webhook for 30 s at most."""

_MARK = "mxp-identity/refuses-"
"""How a mark of the pod gate begins."""

_PARTS = 3
_OF_A_SERVICE_ACCOUNT = "system:serviceaccount:"


class KubernetesApi:
    """Reads namespaces, ServiceAccounts and pods; writes one annotation of a ServiceAccount."""

    def __init__(self, connection: Connection, label_keys: Collection[str]) -> None:
        self._connection = connection
        self._labels = labels_reader(label_keys)

    def namespaces(self) -> Resource[LiveNamespace]:
        """All namespaces, to mirror (list and watch namespaces)."""

        def read(item: msgspec.Raw) -> tuple[str, LiveNamespace]:
            namespace = decode(item, NamespaceObject).live(self._labels)
            return namespace.name, namespace

        return Resource(self._connection, "namespaces", {}, read)

    def service_accounts(self, name: str) -> Resource[Account]:
        """All ServiceAccounts of that name by namespace, to mirror (list and watch serviceaccounts)."""

        def read(item: msgspec.Raw) -> tuple[str, Account]:
            account = decode(item, ServiceAccountObject).account()
            return account.namespace, account

        return Resource(self._connection, "serviceaccounts", {"fieldSelector": f"metadata.name={name}"}, read)

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:
        """The namespace as it is now, or None where there is none (get namespaces)."""

        def call() -> LiveNamespace:
            path = f"/api/v1/namespaces/{name}"
            return self._connection.ask(NamespaceObject, "GET", path, seconds=seconds).live(self._labels)

        try:
            return await self._connection.in_thread(call, urgent=True)
        except NotFoundError:
            return None

    async def account(self, subject: Subject, seconds: float) -> Account | None:
        """The ServiceAccount as it is now, or None where there is none (get serviceaccounts)."""

        def call() -> Account:
            return self._connection.ask(ServiceAccountObject, "GET", _path(subject), seconds=seconds).account()

        try:
            return await self._connection.in_thread(call, urgent=True)
        except NotFoundError:
            return None

    async def annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        """Set the role annotation where it is `replacing`; False where it is not, or the ServiceAccount is gone.

        Reads first and patches only that version, so that an annotation that was set since the decision is not
        overwritten (get and patch serviceaccounts).
        """
        return await self._connection.in_thread(lambda: self._annotate(subject, role, replacing))

    def _annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        path = _path(subject)
        try:
            found = self._connection.ask(ServiceAccountObject, "GET", path)
            version = found.metadata.resource_version
            if found.account().role_annotation != replacing:
                return False
            patch = annotation_patch(found.annotations_that_count(), ROLE_ARN_ANNOTATION, role.value)
            unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
            self._connection.ask(
                ServiceAccountObject, "PATCH", path, body=[unchanged, *patch], content_type=JSON_PATCH
            )
        except (NotFoundError, ConflictError):
            return False
        return True

    async def take_annotation(self, subject: Subject, role: RoleArn) -> bool:
        """Remove the role annotation where it names `role`; False where one is there afterwards.

        The running program may have restored it in the same call, if the binding still selects the namespace (get
        and patch serviceaccounts).
        """
        return await self._connection.in_thread(lambda: self._take_annotation(subject, role))

    def _take_annotation(self, subject: Subject, role: RoleArn) -> bool:
        path = _path(subject)
        try:
            found = self._connection.ask(ServiceAccountObject, "GET", path)
            named = found.account().role_annotation
            if named != role.value:
                return named is None
            patch = {
                "metadata": {
                    "resourceVersion": found.metadata.resource_version,
                    "annotations": {ROLE_ARN_ANNOTATION: None},
                }
            }
            left = self._connection.ask(
                ServiceAccountObject,
                "PATCH",
                path,
                body=patch,
                content_type=MERGE_PATCH,
                seconds=_REVIEWED_SECONDS,
            )
        except NotFoundError:
            return True
        except ConflictError:
            return False
        return left.account().role_annotation is None

    async def pods(self, service_account: str, namespace: str | None = None) -> list[RunningPod]:
        """Pods that run as `service_account`, in one namespace or in all (list pods)."""
        found = await self.pods_until_gone(service_account, namespace)
        return [pod for pod in found if not pod.is_being_deleted]

    async def pods_until_gone(self, service_account: str, namespace: str | None = None) -> list[RunningPod]:
        """The same, with terminating ones, whose containers may still run (list pods)."""
        return await self._connection.in_thread(lambda: self._pods(service_account, namespace))

    def _pods(self, service_account: str, namespace: str | None) -> list[RunningPod]:
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        query = {"fieldSelector": f"spec.serviceAccountName={service_account}"}
        return [pod.running() for pod in listed(self._connection, PodObject, path, query) if not pod.has_ended]

    async def issuer(self) -> str:
        """The issuer of ServiceAccount tokens (get /.well-known/openid-configuration; any account may)."""

        def call() -> str:
            return self._connection.ask(_Discovery, "GET", "/.well-known/openid-configuration", seconds=5).issuer

        return await self._connection.in_thread(call, urgent=True)

    async def token_issuer(self) -> str | None:
        """The issuer of the token that calls are made with, where it is a ServiceAccount's. Raises ClusterError.

        AWS sees the same issuer in the tokens of pods. It is not verified: the token is the program's own.
        """
        return issuer_in(await self._connection.in_thread(self._connection.token, urgent=True))


class GateAccount:
    """The port GateMarks: one ServiceAccount of the program's own namespace (get and patch it by name).

    Its annotations mark the bindings whose pods the API server may refuse: they are the parameter of policies.
    It is a ServiceAccount, because the API server watches these for itself. Its watch of ConfigMaps ends for good
    with the last policy that has one as parameter (kubernetes/kubernetes#130887). An installation creates it, and
    no pod runs as it. Nothing of it but marks is written.
    """

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        self._missing = (
            f"there is no ServiceAccount {namespace}/{name}, so that no pod is refused, and the program may not "
            "create one: the chart does, so run helm upgrade again"
        )

    async def read(self) -> Mapping[str, str]:
        """Its marks. Raises ClusterError, where there is none with what to do."""
        found = await self._call("GET")
        return {key: name for key, name in (found.metadata.annotations or {}).items() if key.startswith(_MARK)}

    async def write(self, marks: Mapping[str, str], replacing: Mapping[str, str]) -> None:
        """Have these marks, and none of those that were read. Raises ClusterError."""
        annotations = {**dict.fromkeys(replacing), **marks}
        await self._call("PATCH", {"metadata": {"annotations": annotations}})

    async def _call(self, method: str, body: dict[str, object] | None = None) -> AnnotatedObject:
        def call() -> AnnotatedObject:
            return self._connection.ask(AnnotatedObject, method, self._path, body=body, content_type=MERGE_PATCH)

        try:
            return await self._connection.in_thread(call)
        except NotFoundError as error:
            raise ClusterError(self._missing) from error


def _path(subject: Subject) -> str:
    return f"/api/v1/namespaces/{subject.namespace}/serviceaccounts/{subject.service_account}"


class _Discovery(msgspec.Struct):
    issuer: str


class _Claims(msgspec.Struct):
    iss: str = ""
    sub: str = ""


def issuer_in(token: str | None) -> str | None:
    """The issuer of a ServiceAccount's token, or None for anything else.

    A person's token is of another issuer than the cluster's, and so is one that was stored in a Secret
    (`kubernetes/serviceaccount`).
    """
    parts = token.split(".") if token else []
    if len(parts) != _PARTS:
        return None
    try:
        payload = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError):
        return None
    if not claims.sub.startswith(_OF_A_SERVICE_ACCOUNT) or not claims.iss.startswith("https://"):
        return None
    return claims.iss
