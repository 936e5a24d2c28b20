"""Leases of coordination.k8s.io/v1 as the lock between replicas keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from webhook.cluster.connection import ConflictError, NotFoundError
from webhook.domain.names import Subject
from webhook.trust.leases import DURATION, Lease

if TYPE_CHECKING:
    from webhook.cluster.connection import Connection

_PREFIX = "mxp-identity/"
_SECONDS = 3.0

MOST_REMEMBERED = 2000
"""Subjects in one annotation: annotations of an object may have 256 KiB in all, and a subject takes about 100."""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None


class _LeaseObject(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


class Leases:
    """The Leases of one namespace (get, create and update leases, in the program's own namespace only)."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    async def get(self, name: str) -> Lease | None:
        """The Lease, or None where there is none."""
        try:
            return await self._call("GET", f"{self._path}/{name}")
        except NotFoundError:
            return None

    async def create(self, lease: Lease) -> Lease | None:
        """Create it; None where there is one already."""
        try:
            return await self._call("POST", self._path, lease)
        except ConflictError:
            return None

    async def update(self, lease: Lease) -> Lease | None:
        """Replace the version that `lease` was read as; None where it has changed or gone since."""
        try:
            return await self._call("PUT", f"{self._path}/{lease.name}", lease)
        except (ConflictError, NotFoundError):
            return None

    async def _call(self, method: str, path: str, lease: Lease | None = None) -> Lease:
        body = None if lease is None else _written(lease)

        def call() -> bytes:
            return self._connection.request(method, path, body=body, seconds=_SECONDS)

        return _read(await self._connection.in_thread(call))


def _written(lease: Lease) -> dict[str, Any]:
    newest = sorted(lease.written.items(), key=lambda item: item[1])[:MOST_REMEMBERED]
    annotations = {
        f"{_PREFIX}role-arn": lease.role,
        f"{_PREFIX}renewals": str(lease.renewals),
        f"{_PREFIX}edition": str(lease.edition),
        f"{_PREFIX}written": msgspec.json.encode(
            {f"{subject.namespace}/{subject.service_account}": round(ago, 1) for subject, ago in newest}
        ).decode(),
    }
    if lease.waiter:
        annotations[f"{_PREFIX}waiter"] = lease.waiter
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease.name, "resourceVersion": lease.version, "annotations": annotations},
        "spec": {"holderIdentity": lease.holder, "leaseDurationSeconds": int(DURATION), "renewTime": now},
    }


def _read(body: bytes) -> Lease:
    found = msgspec.json.decode(body, type=_LeaseObject)
    annotations = {
        key.removeprefix(_PREFIX): value
        for key, value in found.metadata.annotations.items()
        if key.startswith(_PREFIX)
    }
    lease = Lease(
        name=found.metadata.name,
        role=annotations.get("role-arn", ""),
        holder=found.spec.holder_identity or None,
        waiter=annotations.get("waiter"),
        version=found.metadata.resource_version,
    )
    try:
        return replace(
            lease,
            renewals=int(annotations.get("renewals", "0")),
            edition=int(annotations.get("edition", "0")),
            written=_subjects(annotations.get("written", "{}")),
        )
    except (ValueError, msgspec.MsgspecError):
        return lease  # somebody edited it: a hint is lost, not a rule


def _subjects(text: str) -> dict[Subject, float]:
    ages = msgspec.json.decode(text, type=dict[str, float])
    return {Subject(*key.split("/", 1)): max(ago, 0.0) for key, ago in ages.items() if "/" in key}
