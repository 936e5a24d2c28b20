"""What a cluster's etcd holds, read as a whole and put back as it was.

The API server watches etcd: a key that is removed here is a deleted object for it and for its clients. Nothing
waits for finalizers, graceful deletion or controllers.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

Contents = Mapping[str, str]
"""Key and value, both in base64, as etcd's JSON has them."""

TIMEOUT_S = 60.0
OPERATIONS = 100
"""Of one transaction; etcd takes 128."""

# What the cluster's own parts keep up to date while it runs, and would write again.
KEPT = (
    "/registry/flowschemas/",
    "/registry/leases/kube-node-lease/",
    "/registry/leases/kube-system/",
    "/registry/masterleases/",
    "/registry/peerserverleases/",
    "/registry/prioritylevelconfigurations/",
    "/registry/serviceaccounts/kube-system/",
)


class Store:
    """The etcd that listens on a Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://etcd", timeout=TIMEOUT_S
        )

    def read(self) -> Contents:
        """Return all objects but those that the cluster's own parts keep up to date."""
        found = self._post("range", {"key": _encoded("/registry/"), "range_end": _encoded("/registry0")})
        return {item["key"]: item["value"] for item in found["kvs"] if not name(item["key"]).startswith(KEPT)}

    def restore(self, before: Contents) -> list[str]:
        """Make the contents what `read` returned before, and return the names of the keys that were removed."""
        now = self.read()
        removed = sorted(now.keys() - before.keys(), key=_order)
        changed = [key for key, value in before.items() if now.get(key) != value]
        operations: list[dict[str, Any]] = [
            *({"request_delete_range": {"key": key}} for key in removed),
            *({"request_put": {"key": key, "value": before[key]}} for key in changed),
        ]
        for first in range(0, len(operations), OPERATIONS):
            self._post("txn", {"success": operations[first : first + OPERATIONS]})
        return [name(key) for key in removed]

    def compact(self) -> None:
        """Forget all revisions but the newest, as the API server has etcd do every five minutes."""
        revision = self._post("range", {"key": _encoded("/")})["header"]["revision"]
        self._post("compaction", {"revision": revision, "physical": True})

    def _post(self, call: str, message: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.post(f"/v3/kv/{call}", json=message).raise_for_status().json()
        return answer


def name(key: str) -> str:
    """Return the name of a key, such as `/registry/pods/default/web`."""
    return base64.b64decode(key).decode()


def _order(key: str) -> int:
    """Namespaces go first, so that no controller recreates an object in one, and pods after their owners."""
    kind = name(key).split("/")[2]
    return {"namespaces": 0, "pods": 2}.get(kind, 1)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
