"""The ports in front of endpoints: what passes, and what a client of one that misbehaves meets."""

from __future__ import annotations

import json
import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rig.faults import MISBEHAVIOURS, Answer, Front, Fronts, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GENUINE = {"name": "cell", "items": [{"a": 1}], "metadata": {"version": "7"}, "count": 3}
PATIENCE_S = 0.7


class _Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(GENUINE).encode()
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nfirst\r\n")
            self.server.ended.wait()  # type: ignore[attr-defined]
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'<GetRoleResponse xmlns="u"><GetRoleResult><Role>r</Role></GetRoleResult></GetRoleResponse>'
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.ended = Event()  # type: ignore[attr-defined]
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    with Fronts(tmp_path / "fronts") as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[str]:
    with _endpoint() as url:
        yield url


@pytest.fixture
def front(fronts: Fronts, upstream: str) -> Front:
    return fronts.open(upstream)


@pytest.fixture
def client(fronts: Fronts, front: Front) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(fronts.ca_file))
    with httpx.Client(base_url=front.url, verify=context, trust_env=False, timeout=PATIENCE_S) as made:
        yield made


def ask(client: httpx.Client, path: str = "/thing") -> httpx.Response:
    return client.get(path)


def call(client: httpx.Client) -> httpx.Response:
    return client.post("/", data={"Action": "GetRole"})


def test_traffic_passes_over_connections_that_stay_open(client: httpx.Client) -> None:
    assert [ask(client).json() for _ in range(3)] == 3 * [GENUINE]
    assert call(client).text.startswith("<GetRoleResponse")


def test_a_stream_passes_as_it_comes_and_is_cut_when_its_requests_misbehave(
    front: Front, client: httpx.Client
) -> None:
    with client.stream("GET", "/stream") as answer:
        pieces = answer.iter_bytes()
        assert next(pieces) == b"first"
        front.misbehave(MISBEHAVIOURS["html-503"], lambda request: request.path == "/stream")
        with pytest.raises(httpx.TransportError):
            next(pieces)


def test_only_requests_that_match_meet_it(front: Front, client: httpx.Client) -> None:
    front.misbehave(MISBEHAVIOURS["html-500"], lambda request: request.path == "/bad")
    assert ask(client, "/bad").status_code == 500
    assert ask(client, "/good").json() == GENUINE
    assert front.met == 1


@pytest.mark.parametrize("status", [401, 403, 407, 429, 500, 503])
def test_a_proxys_page_comes_with_its_status(front: Front, client: httpx.Client, status: int) -> None:
    front.misbehave(MISBEHAVIOURS[f"html-{status}"])
    answer = ask(client)
    assert answer.status_code == status
    assert answer.text.startswith("<!DOCTYPE html>")
    assert "<meta charset" in answer.text
    assert "</meta>" not in answer.text


def test_bodies_are_not_what_the_endpoint_answers(front: Front, client: httpx.Client) -> None:
    whole = ask(client).content
    found = {}
    for name in ("empty", "truncated", "wrong-types", "no-fields", "garbage", "10-mb"):
        front.misbehave(MISBEHAVIOURS[name])
        answer = ask(client)
        assert answer.status_code == 200
        found[name] = answer.content
    assert not found["empty"]
    assert found["truncated"] == whole[: len(whole) // 2]
    assert json.loads(found["wrong-types"]) == {
        "name": 7,
        "items": {"text": 7},
        "metadata": "text",
        "count": "text",
    }
    assert json.loads(found["no-fields"]) == {}
    with pytest.raises(UnicodeDecodeError):
        found["garbage"].decode()
    assert len(found["10-mb"]) == pytest.approx(10 * 1024 * 1024, rel=0.01)
    assert json.loads(found["10-mb"])


def test_bodies_of_the_query_protocol_are_documents_as_well(front: Front, client: httpx.Client) -> None:
    front.misbehave(MISBEHAVIOURS["wrong-types"])
    assert call(client).text == '<GetRoleResponse xmlns="u"><GetRoleResult>7</GetRoleResult></GetRoleResponse>'
    front.misbehave(MISBEHAVIOURS["no-fields"])
    assert call(client).text == '<GetRoleResponse xmlns="u"><GetRoleResult></GetRoleResult></GetRoleResponse>'


def test_an_answer_breaks_off(front: Front, client: httpx.Client) -> None:
    front.misbehave(MISBEHAVIOURS["broken-off"])
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        ask(client)


def test_silence_and_slow_drips_are_not_answers(front: Front, client: httpx.Client) -> None:
    front.misbehave(MISBEHAVIOURS["silence"])
    with pytest.raises(httpx.ReadTimeout):
        ask(client)
    front.misbehave(MISBEHAVIOURS["slow-drip"])
    with client.stream("GET", "/thing") as answer:
        assert len(next(answer.iter_raw())) == 1


def test_a_port_refuses_and_a_certificate_is_not_trusted_until_all_is_well_again(
    front: Front, client: httpx.Client
) -> None:
    ask(client)
    front.misbehave(MISBEHAVIOURS["refused"])
    with pytest.raises(httpx.ConnectError, match="refused"):
        ask(client)
    front.misbehave(MISBEHAVIOURS["tls-failure"])
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(client)
    front.behave()
    assert ask(client).json() == GENUINE


def test_every_misbehaviour_ends(front: Front, client: httpx.Client) -> None:
    for misbehaviour in MISBEHAVIOURS.values():
        front.misbehave(misbehaviour)
        front.behave()
        assert ask(client).json() == GENUINE


def test_one_misbehaviour_follows_another(front: Front, client: httpx.Client) -> None:
    for misbehaviour in MISBEHAVIOURS.values():
        front.misbehave(misbehaviour)
        front.misbehave(MISBEHAVIOURS["html-503"])
        assert ask(client).status_code == 503


def test_an_answer_may_be_changed_on_its_way(fronts: Fronts, upstream: str) -> None:
    def shout(answer: Answer) -> Answer:
        return Answer(answer.status, answer.content_type, answer.body.upper())

    def matches(request: Request) -> bool:
        return request.path == "/loud"

    front = fronts.open(upstream, tls=False, changed=(matches, shout))
    assert httpx.get(f"{front.url}/loud", trust_env=False).text == json.dumps(GENUINE).upper()
    assert httpx.get(f"{front.url}/soft", trust_env=False).json() == GENUINE
