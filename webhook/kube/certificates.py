"""The Secret with the program's certificates, and the caBundle of its MutatingWebhookConfiguration."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from certs.errors import StoreError
from certs.store import Announced, Stored
from webhook.kube.connection import JSON_PATCH
from webhook.kube.errors import ConflictError, NotFoundError
from webhook.kube.objects import WebhookConfiguration
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.kube.connection import Connection

T = TypeVar("T")

_SECONDS = 3.0


def secret_path(namespace: str, name: str) -> str:
    """Where the API server has a Secret."""
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def registration_path(name: str) -> str:
    """Where it has a MutatingWebhookConfiguration."""
    return f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}"


class SecretStore:
    """One Secret of the program's own namespace (get and update it by name); an installation creates it.

    What is in it beside the data stays: labels and annotations of others, its type.
    """

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._path = secret_path(namespace, name)
        self._missing = (
            f"there is no Secret {namespace}/{name}, and the program may not create one: the chart does, so run "
            f"helm upgrade again (without the chart: kubectl -n {namespace} create secret generic {name})"
        )

    async def read(self) -> Stored:
        """The Secret. Raises StoreError where there is none, with what to do."""
        try:
            return await self._call("GET")
        except NotFoundError as error:
            raise StoreError(self._missing) from error

    async def write(self, data: Mapping[str, bytes], replacing: Stored) -> Stored | None:
        """Replace its data; None where another write came first."""
        body = {**replacing.origin, "data": {key: b64encode(value).decode() for key, value in data.items()}}
        try:
            return await self._call("PUT", body)
        except (ConflictError, NotFoundError):
            return None

    async def _call(self, method: str, body: dict[str, Any] | None = None) -> Stored:
        def call() -> Stored:
            return _stored(self._connection.ask(dict[str, Any], method, self._path, body=body, seconds=_SECONDS))

        return await _called(self._connection, call)


class Registration:
    """The program's MutatingWebhookConfiguration (get and patch it by name). Only the caBundle is written."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._path = registration_path(name)

    async def announced(self) -> Announced | None:
        """The caBundle of each of its webhooks; None where there is no such object, or no webhook in it."""
        try:
            found = await self._call("GET")
        except NotFoundError:
            return None
        bundles = tuple(webhook.client_config.ca_bundle for webhook in found.webhooks or ())
        return Announced(bundles, found.metadata.resource_version) if bundles else None

    async def announce(self, ca_bundle: bytes, replacing: Announced) -> bool:
        """Write it where it differs, on the version that was read; False where that has changed since."""
        text = b64encode(ca_bundle).decode()
        patch = [{"op": "test", "path": "/metadata/resourceVersion", "value": replacing.version}]
        patch += [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": text}
            for index, present in enumerate(replacing.bundles)
            if present != ca_bundle
        ]
        try:
            await self._call("PATCH", patch)
        except (ConflictError, NotFoundError):
            return False
        return True

    async def _call(self, method: str, body: list[dict[str, str]] | None = None) -> WebhookConfiguration:
        options = {"body": body, "content_type": JSON_PATCH, "seconds": _SECONDS}
        return await _called(
            self._connection, lambda: self._connection.ask(WebhookConfiguration, method, self._path, **options)
        )


async def _called(connection: Connection, call: Callable[[], T]) -> T:
    """What `call` answers. Raises ConflictError, NotFoundError, and StoreError for all else."""
    try:
        return await connection.in_thread(call, urgent=True)
    except (ConflictError, NotFoundError):
        raise
    except ClusterError as error:
        raise StoreError(str(error)) from error


class _Metadata(msgspec.Struct, rename="camel", frozen=True):
    name: str
    resource_version: str


class _Secret(msgspec.Struct, frozen=True):
    metadata: _Metadata
    data: dict[str, str] | None = None


def _stored(secret: dict[str, Any]) -> Stored:
    """A Secret with all that is in it; what is not as the API server writes one is another server's."""
    kept = msgspec.convert(secret, type=_Secret)
    data = {key: _decoded(value) for key, value in (kept.data or {}).items()}
    return Stored(data, kept.metadata.resource_version, secret)


def _decoded(value: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except binascii.Error:
        return b""
