"""As much of an API server as `serve` talks to, over HTTP: it can be away, and say whichever issuer, or none."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

import yaml

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

Object = dict[str, Any]


class StubApiServer:
    """Refuses connections until `come`; then it has `objects` by path, and takes Leases.

    `issuer` is what its discovery document says; it refuses the document where that is None.
    """

    def __init__(self, issuer: str | None) -> None:
        self.issuer = issuer
        self.objects: dict[str, Object] = {}
        self.stopped = threading.Event()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # not listening: refused
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        if self._server:
            self._server.shutdown()
        self._socket.close()

    def come(self) -> None:
        """Answer from now on."""
        self._socket.listen(128)
        stub = self

        class Here(self.handler):  # type: ignore[name-defined, misc]  # mypy knows no class of an instance
            api = stub

        self._server = ThreadingHTTPServer(self._socket.getsockname(), Here, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = self._socket
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def handler(self) -> type[Handler]:
        """What answers requests."""
        return Handler

    def kubeconfig(self, folder: Path, token: str) -> Path:
        """A file for KUBECONFIG, with a ServiceAccount's token."""
        host, port = self._socket.getsockname()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stub",
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
            "clusters": [{"name": "stub", "cluster": {"server": f"http://{host}:{port}"}}],
            "users": [{"name": "stub", "user": {"token": token}}],
        }
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        return file

    def add(self, namespace: str, service_account: str, labels: dict[str, str]) -> None:
        """A namespace with a ServiceAccount; it counts from the next list on."""
        path = f"/api/v1/namespaces/{namespace}"
        created = "2026-01-01T00:00:00Z"
        meta: Object = {"name": namespace, "uid": "u", "resourceVersion": "1", "creationTimestamp": created}
        self.objects[path] = {"metadata": {**meta, "labels": labels}, "status": {"phase": "Active"}}
        account = {"name": service_account, "namespace": namespace, "resourceVersion": "1"}
        self.objects[f"{path}/serviceaccounts/{service_account}"] = {"metadata": account}


_LISTED = frozenset(
    [
        "configmaps",
        "deployments",
        "events",
        "leases",
        "mutatingwebhookconfigurations",
        "namespaces",
        "pods",
        "serviceaccounts",
    ]
)


def _has(item: Object, label: str) -> bool:
    key, _, value = label.partition("=")
    return not label or item["metadata"].get("labels", {}).get(key) == value


class Handler(BaseHTTPRequestHandler):
    """Answers requests from `objects`."""

    api: StubApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        *_, kind = path.split("/")
        if path == "/.well-known/openid-configuration":
            said: Object = {"issuer": self.api.issuer} if self.api.issuer else {"message": "forbidden"}
            self.answer(200 if self.api.issuer else 403, said)
        elif "watch=" in query:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.api.stopped.wait()
        elif kind in _LISTED:
            within = path if "/namespaces/" in path else ""
            label = parse_qs(query).get("labelSelector", [""])[0]
            items = [
                one
                for at, one in self.api.objects.items()
                if at.split("/")[-2] == kind and at.startswith(within) and _has(one, label)
            ]
            self.answer(200, {"metadata": {"resourceVersion": "1"}, "items": items})
        else:
            self._answer_found(path)

    def do_POST(self) -> None:
        item = self.body()
        self.api.objects.setdefault(f"{self.path}/{item['metadata'].get('name', '')}", item)
        self.answer(201, item)

    def do_PUT(self) -> None:
        self.api.objects[self.path] = self.body()
        self._answer_found(self.path)

    def do_PATCH(self) -> None:
        self.body()
        self._answer_found(self.path)

    def _answer_found(self, path: str) -> None:
        found = self.api.objects.get(path)
        self.answer(200 if found else 404, found or {"message": "not found"})

    def body(self) -> Object:
        item: Object = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return item

    def answer(self, status: int, content: Object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""
