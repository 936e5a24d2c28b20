"""Whatever reaches the port, straight over TLS: a right answer, no change of trust, no traceback."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import is_trusted
from tests.e2e.scenes import LARGE_QUOTA, bare_space, create_account, create_namespace, label, serving

MEGABYTE = 1024 * 1024
CORE = {"group": "", "version": "v1"}


@dataclass(frozen=True)
class Places:
    """Namespaces that give no authority, and one that does."""

    selected: str
    unselected: str
    terminating: str
    missing: str = "mxp-nobody-made-this-system"


@dataclass(frozen=True)
class Scene:
    """The program, with what reviews are about."""

    space: Space
    webhook: Webhook
    client: httpx.Client
    places: Places

    def post(self, content: bytes, content_type: str = "application/json") -> httpx.Response:
        """Send a body as the API server would."""
        url = f"{self.webhook.url}?timeout=10s"
        return self.client.post(url, content=content, headers={"Content-Type": content_type})


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with bare_space(quota=LARGE_QUOTA) as space, serving(space) as webhook, webhook.client() as client:
        selected = create_namespace(space)
        create_account(space, selected)
        eventually(lambda: is_trusted(space, selected), "trust of the selected namespace")
        places = Places(selected, create_namespace(space, selected=False), _terminating(space))
        yield Scene(space, webhook, client, places)


@pytest.fixture(autouse=True)
def neither_trust_nor_log_shows_it(scene: Scene) -> Iterator[None]:
    writes, seen = len(scene.space.aws.history("mxp-backup")), len(scene.webhook.process.log.read_text())
    yield
    assert len(scene.space.aws.history("mxp-backup")) == writes
    log = scene.webhook.process.log.read_text()[seen:]
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    assert scene.webhook.is_ready()


@dataclass(frozen=True)
class Refused:
    """A body that is no review, and the HTTP status that it gets."""

    status: int
    body: bytes
    content_type: str = "application/json"


def review(**request: Any) -> bytes:
    whole = {"uid": "1", "kind": {**CORE, "kind": "ServiceAccount"}, "operation": "CREATE", **request}
    present = {key: value for key, value in whole.items() if value is not None}
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": present}
    ).encode()


ACCOUNT = {"metadata": {"name": SERVICE_ACCOUNT}}
REFUSED = {
    "empty body": Refused(400, b""),
    "no JSON": Refused(400, b"{"),
    "not UTF-8": Refused(400, b'{"apiVersion": "\xff\xfe"}'),
    "a list": Refused(400, b"[]"),
    "null": Refused(400, b"null"),
    "a ServiceAccount": Refused(400, b'{"apiVersion": "v1", "kind": "ServiceAccount"}'),
    "an older version": Refused(400, review().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1")),
    "no request": Refused(400, b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}'),
    "no uid": Refused(400, review(uid=None, object=ACCOUNT)),
    "an empty uid": Refused(400, review(uid="", object=ACCOUNT)),
    "a uid that is a number": Refused(400, review(uid=1, object=ACCOUNT)),
    "no object": Refused(400, review(namespace="any")),
    "an object without metadata": Refused(400, review(namespace="any", object={"spec": {}})),
    "8 MB": Refused(413, review(object={**ACCOUNT, "padding": "x" * (8 * MEGABYTE)})),
    "a form": Refused(415, b"uid=1", "application/x-www-form-urlencoded"),
    "YAML": Refused(415, review(object=ACCOUNT), "application/yaml"),
}


@pytest.mark.rig
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_review_gets_an_http_error_in_one_line(scene: Scene, case: Refused) -> None:
    answer = scene.post(case.body, case.content_type)
    assert answer.status_code == case.status
    assert len(answer.text.splitlines()) == 1
    assert len(answer.text) < 500


TOO_DEEP = {
    "nested without end": review(options="@").replace(b'"@"', b"[" * 200_000 + b"]" * 200_000),
    "nested metadata": review(object={"metadata": "@"}).replace(
        b'"@"', b'{"x":' * 100_000 + b"1" + b"}" * 100_000
    ),
}


@pytest.mark.rig
@pytest.mark.parametrize("body", TOO_DEEP.values(), ids=TOO_DEEP.keys())
def test_what_is_nested_too_deep_is_denied_in_one_line(scene: Scene, body: bytes) -> None:
    answer = scene.post(body, "application/json")
    assert answer.status_code == 200
    assert answer.json()["response"]["allowed"] is False
    assert len(answer.text) < 500


@pytest.mark.rig
def test_8_mb_in_chunks_of_unknown_number_are_not_kept(scene: Scene) -> None:
    chunks = (b"x" * MEGABYTE for _ in range(8))
    headers = {"Content-Type": "application/json"}
    assert scene.client.post(scene.webhook.url, content=chunks, headers=headers).status_code == 413


@pytest.mark.rig
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_another_method_is_not_allowed(scene: Scene, method: str) -> None:
    assert scene.client.request(method, scene.webhook.url).status_code == 405


@pytest.mark.rig
@pytest.mark.parametrize("path", ["", "docs", "openapi.json", "metrics", "mutate/"])
def test_there_is_nothing_else_on_the_port(scene: Scene, path: str) -> None:
    assert scene.client.get(scene.webhook.url.replace("mutate", path)).status_code in {404, 405}


@dataclass(frozen=True)
class Allowed:
    """A review of what is not ours: allowed, without a patch. `place` is a field of Places."""

    place: str
    request: dict[str, Any] = field(default_factory=dict)


ALLOWED = {
    "a namespace that does not exist": Allowed("missing"),
    "a Terminating namespace": Allowed("terminating"),
    "a namespace that no binding selects": Allowed("unselected"),
    "another name": Allowed("selected", {"name": "other", "object": {"metadata": {"name": "other"}}}),
    "a Pod": Allowed("selected", {"kind": {**CORE, "kind": "Pod"}, "object": {"spec": {}}}),
    "a kind of that name elsewhere": Allowed(
        "selected", {"kind": {"group": "example.org", "version": "v1", "kind": "ServiceAccount"}}
    ),
    "a DELETE": Allowed("selected", {"operation": "DELETE", "object": None, "oldObject": ACCOUNT}),
    "a CONNECT": Allowed("selected", {"operation": "CONNECT"}),
    "an operation that is none": Allowed("selected", {"operation": "x" * 1000}),
    "no namespace": Allowed("missing", {"namespace": None}),
    "a path for a namespace": Allowed("missing", {"namespace": "../../api/v1/namespaces"}),
    "a very long namespace": Allowed("missing", {"namespace": "n" * 100_000}),
    "an object that says it is elsewhere": Allowed(
        "unselected", {"object": {"metadata": {"name": SERVICE_ACCOUNT, "namespace": "mxp-a-system"}}}
    ),
    "one on its way out": Allowed(
        "selected",
        {"object": {"metadata": {"name": SERVICE_ACCOUNT, "deletionTimestamp": "2026-01-01T00:00:00Z"}}},
    ),
}


@pytest.mark.rig
@pytest.mark.parametrize("case", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_not_ours_is_allowed_without_a_patch(scene: Scene, case: Allowed) -> None:
    uid = "705ab4f5-6393-11e8-b7cc-42010a800002"
    namespace = getattr(scene.places, case.place)
    request = {"uid": uid, "namespace": namespace, "name": SERVICE_ACCOUNT, "object": ACCOUNT, **case.request}
    answer = scene.post(review(**request))
    assert answer.status_code == 200
    response = answer.json()["response"]
    assert (response["uid"], response["allowed"]) == (uid, True)
    assert "patch" not in response
    assert "patchType" not in response


@pytest.mark.rig
def test_the_same_review_of_a_selected_namespace_is_patched(scene: Scene) -> None:
    """Else all of the above would hold of a program that does nothing."""
    answer = scene.post(review(namespace=scene.places.selected, name=SERVICE_ACCOUNT, object=ACCOUNT))
    assert answer.json()["response"]["patchType"] == "JSONPatch"


@pytest.mark.rig
def test_a_client_that_hangs_up_or_speaks_no_tls_does_no_harm(scene: Scene) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(scene.webhook.url.replace("https", "http"), content=b"{}", trust_env=False)
    with pytest.raises(httpx.WriteError), scene.webhook.client() as client:
        client.post(scene.webhook.url, content=_breaks_off(), headers={"Content-Type": "application/json"})


def _breaks_off() -> Iterator[bytes]:
    yield b'{"apiVersion"'
    raise httpx.WriteError("hung up")


def _terminating(space: Space) -> str:
    """A namespace that was deleted and cannot go, because of a finalizer in it; selected only since then."""
    namespace = create_namespace(space, selected=False)
    path = f"/api/v1/namespaces/{namespace}"
    space.cluster.api.post(
        f"{path}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stays", "finalizers": ["rig.local/stay"]}},
    )
    space.cluster.api.delete(path)
    eventually(lambda: space.cluster.api.get(path)["status"]["phase"] == "Terminating", "Terminating")
    label(space, namespace, {CONTROL_PLANE_LABEL: "late"})
    return namespace
