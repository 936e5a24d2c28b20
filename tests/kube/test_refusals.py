"""Which answers of an API server mean that a new pod is refused, and which that this is not known."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from webhook.cli.snapshots.inspection import Inspection
from webhook.kube.connection import Connection
from webhook.kube.errors import ConflictError, NotFoundError, RefusedError
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUBJECT = Subject("mxp-a-system", "mxp-controller")
WEBHOOK = 'admission webhook "pods.example.com"'
POLICY = "ValidatingAdmissionPolicy 'images' with binding 'images-everywhere' denied request: not from here"

REFUSED = {
    "no right to": (403, 'pods is forbidden: User "eve" cannot create resource "pods" in API group ""'),
    "Pod Security": (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'),
    "a quota": (403, 'pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1'),
    "no such ServiceAccount": (403, 'pods "x" is forbidden: error looking up service account a/b'),
    "an invalid pod": (422, 'Pod "x" is invalid: spec.containers[0].resources: Required value'),
    "a policy": (422, f'pods "x" is forbidden: {POLICY}'),
    "a policy with a code of its own": (413, f'pods "x" is forbidden: {POLICY}'),
    "a webhook that says no more": (400, f"{WEBHOOK} denied the request without explanation"),
    "a webhook with the code of a failure": (503, f"{WEBHOOK} denied the request: not now"),
    "a webhook with the code of a conflict": (409, f"{WEBHOOK} denied the request: not so"),
    "a webhook with the code of a missing object": (404, f"{WEBHOOK} denied the request: no image"),
    "a webhook that takes no dry run": (400, f"{WEBHOOK} does not support dry run"),
}
GONE = {"the namespace is gone": (404, 'namespaces "mxp-a-system" not found')}
UNKNOWN = {
    "a webhook that does not answer": (500, 'Internal error occurred: failed calling webhook "a": timed out'),
    "etcd is away": (500, "etcdserver: request timed out"),
    "it is starting": (503, "the server is currently unable to handle the request"),
    "too many requests": (429, "too many requests, please try again later"),
    "it was too slow": (504, "Timeout: request did not complete within the allotted timeout"),
    "the caller is unauthorized": (401, "Unauthorized"),
    "it does not understand": (400, "the object provided is unrecognized"),
    "a conflict": (409, 'Operation cannot be fulfilled on resourcequotas "few": please apply your changes'),
}


@contextmanager
def _api_server(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, body: Any) -> Iterator[Connection]:
    """A connection to a server that answers each POST with this."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        user, context = {"name": "a", "user": {"token": "t"}}, {"cluster": "a", "user": "a"}
        parts = {"clusters": [cluster], "users": [user], "contexts": [{"name": "a", "context": context}]}
        kind = {"apiVersion": "v1", "kind": "Config", "current-context": "a"}
        (folder / "kubeconfig").write_text(json.dumps({**kind, **parts}))
        connection = Connection()
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()


def _tried(connection: Connection) -> frozenset[Mode] | None:
    return asyncio.run(Inspection(connection).variables_of_a_new_pod(SUBJECT))


@pytest.mark.parametrize("case", [*REFUSED, *GONE])
def test_without_the_right_to_create_such_a_pod_there_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    code, message = (REFUSED | GONE)[case]
    with _api_server(tmp_path, monkeypatch, code, {"kind": "Status", "message": message}) as connection:
        assert _tried(connection) is None


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_failure_is_not_treated_as_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    code, message = UNKNOWN[case]
    with (
        _api_server(tmp_path, monkeypatch, code, {"kind": "Status", "message": message}) as connection,
        pytest.raises(ClusterError, match=f"{code} ") as raised,
    ):
        _tried(connection)
    assert not isinstance(raised.value, RefusedError)


@pytest.mark.parametrize("code", [404, 409, 422])
def test_a_denial_is_no_conflict_whatever_code_a_policy_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A caller that meets a conflict reads and tries again: a rule would refuse that for ever."""
    message = (
        "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
    )
    with (
        _api_server(tmp_path, monkeypatch, code, {"kind": "Status", "message": message}) as connection,
        pytest.raises(RefusedError) as raised,
    ):
        connection.request("POST", "/api/v1/namespaces", body={})
    assert not isinstance(raised.value, ConflictError)


def test_neither_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _api_server(tmp_path, monkeypatch, 200, {}):
        pass
    connection = Connection()
    with pytest.raises(ClusterError, match="connection refused") as raised:
        _tried(connection)
    connection.close()
    assert not isinstance(raised.value, RefusedError)


def test_a_pod_that_is_admitted_shows_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = {"name": "probe", "env": [{"name": "AWS_ROLE_ARN", "value": "r"}]}
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [container]}}
    with _api_server(tmp_path, monkeypatch, 201, pod) as connection:
        assert _tried(connection) == frozenset({Mode.IRSA})


@pytest.mark.parametrize(
    ("code", "kind"), [(404, NotFoundError), (409, ConflictError), (422, ConflictError), (422, RefusedError)]
)
def test_what_others_look_out_for_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[ClusterError]
) -> None:
    with (
        _api_server(tmp_path, monkeypatch, code, {"kind": "Status", "message": "no"}) as connection,
        pytest.raises(kind),
    ):
        connection.request("POST", "/api/v1/namespaces", body={})
