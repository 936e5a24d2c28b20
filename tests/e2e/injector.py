"""An external webhook that adds a container to pods, as injectors of sidecars do."""

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from rig.kubernetes import objects
from rig.pki import Authority
from rig.space import Space
from rig.waiting import eventually

INJECTED = "sidecar"
"""The name of the container."""

_KIND = "mutatingwebhookconfigurations"
_PATH = f"/apis/admissionregistration.k8s.io/v1/{_KIND}"


@contextmanager
def injecting(space: Space, name: str) -> Iterator[None]:
    """The API server calls it for each pod, in the order of `name`, for the length of a `with` block."""
    authority = Authority("injector")
    with _served(authority) as port:
        space.cluster.apply([_configuration(name, port, authority)])
        try:
            eventually(lambda: _is_called(space), "the API server calls the injector")
            yield
        finally:
            space.cluster.api.delete(f"{_PATH}/{name}")


@contextmanager
def _served(authority: Authority) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Injector)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*authority.issue("injector").write(Path(folder), "injector"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Injector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a review."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        names = [container["name"] for container in request["object"]["spec"]["containers"]]
        sidecar = {"name": INJECTED, "image": objects.IMAGE}
        patch = [] if INJECTED in names else [{"op": "add", "path": "/spec/containers/-", "value": sidecar}]
        review["response"] = {
            "uid": request["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _configuration(name: str, port: int, authority: Authority) -> dict[str, Any]:
    ca_bundle = base64.b64encode(authority.certificate.encode()).decode()
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
        "scope": "*",
    }
    webhook = {
        "name": "injector.rig.local",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": ca_bundle},
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def _is_called(space: Space) -> bool:
    made = space.cluster.api.create(objects.pod("default", "probe", "default"), dryRun="All")
    return len(made["spec"]["containers"]) > 1
