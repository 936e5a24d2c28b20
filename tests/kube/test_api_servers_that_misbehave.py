"""Whatever an API server, or a server in between, answers: a value or a ClusterError, in time and in few bytes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from certs.errors import StoreError
from tests.support.misbehaving_api_server import MIB, MisbehavingApiServer, api_server, says, sends
from tests.support.samples import sample
from tests.support.sites import SERVICE_ACCOUNT, pool, subject
from tests.support.worlds import labelled
from webhook.cli.snapshots.inspection import Inspection
from webhook.controller import reflector
from webhook.controller.cluster_cache import ClusterCache
from webhook.coordination.leases import Lease
from webhook.kube import watches
from webhook.kube.api import KubernetesApi
from webhook.kube.certificates import Registration, SecretStore
from webhook.kube.connection import Connection
from webhook.kube.deployments import DeploymentApi
from webhook.kube.leases import Leases
from webhook.model.bindings import label_keys
from webhook.model.errors import ClusterError
from webhook.model.names import RoleArn
from webhook.telemetry import metrics

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

SUBJECT = subject(1)
ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
SOON = 0.3
"""Seconds that a call is given."""
PATIENCE = 10.0
HTML = b"<!DOCTYPE html><html><head><meta charset=utf-8><title>Blocked</title><p>by \x1b[31mthe proxy</html>"
STATUSES = (401, 403, 407, 429, 500, 503)
CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
BODY, CHUNKED = CLOSED + b"\r\n", CLOSED + b"Transfer-Encoding: chunked\r\n\r\n"


def _hangs_up(connection: socket.socket, request: str) -> None:
    """Nothing is answered."""


ANSWERS: dict[str, Callable[[socket.socket, str], None]] = {
    "a connection that ends": _hangs_up,
    **{f"{status} with a page": says(HTML, status, kind="text/html") for status in STATUSES},
    **{f"{status} with nothing": says(b"", status) for status in STATUSES},
    **{f"{status}, cut off": says(HTML, status, length=5000) for status in STATUSES},
    **{f"{status} with another type": says({"message": ["no"]}, status) for status in STATUSES},
    "a redirection": says(HTML, 302, kind="text/html"),
    "200 with a page": says(HTML, kind="text/html"),
    "200 with nothing": says(b""),
    "200, cut off": says(b'{"metadata": {"name": "a"', length=5000),
    "200, cut off unnoticed": says(b'{"metadata": {"name": "a"'),
    "200 with a list": says(b"[]"),
    "200 with null": says(b"null"),
    "200 with empty metadata": says({"metadata": {}}),
    "200 with other types": says({"metadata": {"name": 5, "resourceVersion": []}, "items": {}, "issuer": {}}),
    "200 with other items": says({"metadata": {"resourceVersion": "1"}, "items": [5, "a", None]}),
    "200 with deep JSON": says(b'{"metadata": ' + b"[" * 100_000),
    "200 with no text": says(bytes(range(128, 256))),
    "200, packed": sends(CLOSED + b"Content-Encoding: gzip\r\n\r\n" + b"\x1f\x8b\x08\x00"),
    "200 with 10 MB": says(b" " * 10_000_000),
    "200 with 10 MB without a length": sends(BODY + b"x" * 10_000_000),
    "chunks that are none": sends(CHUNKED + b"nothing\r\n"),
    "chunks that end early": sends(CHUNKED + b'5\r\n{"met\r\n'),
    "another protocol": sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "too many headers": sends(CLOSED + b"a: b\r\n" * 200 + b"\r\n"),
    "a header without an end": sends(CLOSED + b"a" * 1_000_000),
    "two lengths": sends(CLOSED + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
}

CALLS: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "namespace": lambda to: KubernetesApi(to, []).namespace(SUBJECT.namespace, SOON),
    "account": lambda to: KubernetesApi(to, []).account(SUBJECT, SOON),
    "annotate": lambda to: KubernetesApi(to, []).annotate(SUBJECT, ROLE, None),
    "take_annotation": lambda to: KubernetesApi(to, []).take_annotation(SUBJECT, ROLE),
    "pods": lambda to: KubernetesApi(to, []).pods(SERVICE_ACCOUNT),
    "issuer": lambda to: KubernetesApi(to, []).issuer(),
    "namespaces": lambda to: KubernetesApi(to, []).namespaces().list(),
    "newest version": lambda to: KubernetesApi(to, []).namespaces().newest_version(),
    "service accounts": lambda to: KubernetesApi(to, []).service_accounts(SERVICE_ACCOUNT).list(),
    "lease": lambda to: Leases(to, "a").get("b"),
    "lease written": lambda to: Leases(to, "a").update(Lease("b", "")),
    "deployment": lambda to: DeploymentApi(to).get("a", "b"),
    "deployments": lambda to: DeploymentApi(to).named("b"),
    "secret": lambda to: _store_errors_too(SecretStore(to, "a", "b").read()),
    "registration": lambda to: _store_errors_too(Registration(to, "b").announced()),
    "token": lambda to: Inspection(to).token(SUBJECT),
    "registrations": lambda to: Inspection(to).registrations("b"),
}

VALUES = {"200 with other items": {"newest version"}}
"""Calls for which such an answer is one."""


async def _store_errors_too(call: Awaitable[object]) -> object:
    """Certificates have an error of their own, made of a ClusterError."""
    try:
        return await call
    except StoreError as error:
        raise ClusterError(str(error)) from error


@pytest.fixture
def nothing_unexpected() -> Iterator[None]:
    """What a server does is no bug of ours."""
    before = _unexpected()
    yield
    assert _unexpected() == before


def _unexpected() -> float:
    return sample("mxp_identity_unexpected_errors_total", {"loop": "kubernetes"}) or 0


def _call(connection: Connection, name: str) -> ClusterError:
    """The error that a call ends with."""

    async def called() -> object:
        return await asyncio.wait_for(_as_coroutine(CALLS[name](connection)), PATIENCE)

    with pytest.raises(ClusterError) as raised:
        asyncio.run(called())
    return raised.value


async def _answers(calls: list[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def _as_coroutine(call: Awaitable[object]) -> object:
    return await call


@pytest.mark.usefixtures("nothing_unexpected")
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_no_api_server_answers_is_an_error_in_one_short_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    with api_server(tmp_path, monkeypatch, ANSWERS[answer]):
        connection = Connection()
        for name in CALLS.keys() - VALUES.get(answer, set()):
            said = str(_call(connection, name))
            assert said.isprintable(), name
            assert len(said) < 800, name
        connection.close()


COUNTED = {
    "403 with a page": "HTTP_403",
    "500 with nothing": "HTTP_500",
    "200 with a page": "DecodeError",
    "200 with other types": "ValidationError",
    "200 with 10 MB": "TooLargeError",
}


@pytest.mark.parametrize(("answer", "code"), COUNTED.items())
def test_a_request_that_fails_is_counted_once_by_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: str
) -> None:
    with api_server(tmp_path, monkeypatch, ANSWERS[answer]):
        connection, before = Connection(), _failures()
        _call(connection, "lease")
        connection.close()
    assert _failures() == {**before, code: before.get(code, 0) + 1}


def test_what_is_not_there_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with api_server(tmp_path, monkeypatch, says(b"{}", 404)):
        connection, before = Connection(), _failures()
        assert asyncio.run(Leases(connection, "a").get("b")) is None
        connection.close()
    assert _failures() == before


def _failures() -> dict[str, float]:
    return {
        sample.labels["code"]: sample.value
        for family in metrics.kubernetes_failures.collect()
        for sample in family.samples
    }


def _silent(server: MisbehavingApiServer) -> Callable[[socket.socket, str], None]:
    def wait(_: socket.socket, __: str) -> None:
        server.stopped.wait(PATIENCE)

    return wait


def _dripping(server: MisbehavingApiServer, start: bytes, drop: bytes) -> Callable[[socket.socket, str], None]:
    def drip(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while not server.stopped.wait(SOON / 20):
            connection.sendall(drop)

    return drip


SLOW: dict[str, Callable[[MisbehavingApiServer], Callable[[socket.socket, str], None]]] = {
    "nothing": _silent,
    "a status line": lambda server: _dripping(server, b"HTTP/1.1 2", b"0"),
    "headers": lambda server: _dripping(server, CLOSED, b"a: b\r\n"),
    "an interim answer": lambda server: _dripping(server, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": lambda server: _dripping(server, BODY, b" "),
    "chunks": lambda server: _dripping(server, CHUNKED, b"1\r\n \r\n"),
    "an error's body": lambda server: _dripping(server, b"HTTP/1.1 503 No\r\n\r\n", b" "),
}


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("call", ["namespace", "account"])
def test_an_answer_that_drips_holds_its_thread_no_longer_than_the_call_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str, call: str
) -> None:
    with api_server(tmp_path, monkeypatch, _hangs_up) as server:
        server.answer = SLOW[slow](server)
        connection = Connection()
        began = time.monotonic()
        assert f"within {SOON:g} s" in str(_call(connection, call))
        assert time.monotonic() - began < 5 * SOON
        connection.close()


# --- the mirror --------------------------------------------------------------------------------------------------


class Cluster:
    """Answers lists as an API server does, and watches by `watch`."""

    def __init__(self, watch: Callable[[socket.socket, str], None]) -> None:
        self.watch = watch
        self.version = 7
        self.namespaces = [SUBJECT.namespace]

    def __call__(self, connection: socket.socket, request: str) -> None:
        if "watch=true" in request:
            self.watch(connection, request)
        elif "serviceaccounts" in request:
            says({"metadata": {"resourceVersion": str(self.version)}, "items": []})(connection, request)
        else:
            metadata = {"resourceVersion": str(self.version)}
            items = [namespace(name, self.version) for name in self.namespaces]
            says({"metadata": metadata, "items": items})(connection, request)


def namespace(name: str, version: int, **more: Any) -> dict[str, Any]:
    """A Namespace as the API server sends it."""
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), **more}}


def _line(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


BOOKMARK = {"kind": "Namespace", "metadata": {"resourceVersion": "9"}}
NEW = subject(2).namespace


def _lives(connection: socket.socket, request: str) -> None:
    """A watch as it is to be: something new, and a bookmark; then it stays open."""
    lines = _line("BOOKMARK", BOOKMARK)
    if "serviceaccounts" not in request:
        lines = _line("ADDED", namespace(NEW, 8)) + lines
    connection.sendall(BODY + lines)
    with suppress(OSError):
        connection.recv(1)


NO_VERSIONS = {
    "a word": "abc",
    "nothing": "",
    "a number of 24 digits": 24 * "9",
    "a number of 100,000 digits": 100_000 * "9",
    "below zero": "-1",
    "hexadecimal": "0x10",
    "of other digits": "\u0661\u0662",
    "two lines": "9\n",
}
WATCHES: dict[str, Callable[[socket.socket, str], None]] = {
    **{name: answer for name, answer in ANSWERS.items() if "0 MB" not in name},
    "an event that is none": sends(BODY + b"hello\n"),
    "an event of no type": sends(BODY + _line("HELLO", namespace(NEW, 8))),
    "an event without a version": sends(BODY + _line("ADDED", {"metadata": {"name": NEW, "uid": "u"}})),
    **{
        f"{kind} whose version is {name}": sends(BODY + _line(kind, namespace("a", 0, resourceVersion=version)))
        for kind in ("ADDED", "BOOKMARK")
        for name, version in NO_VERSIONS.items()
    },
    "an event of a namespace without a name": sends(BODY + _line("ADDED", namespace("", 8))),
    "an event of no namespace's name": sends(BODY + _line("ADDED", namespace("A b", 8))),
    "an event of a name that is too long": sends(BODY + _line("ADDED", namespace(64 * "a", 8))),
    "an event that is cut off": sends(BODY + _line("ADDED", namespace(NEW, 8))[:-9]),
    "an event of another type": sends(BODY + _line("ADDED", {"metadata": {"name": 5, "resourceVersion": "8"}})),
    "an error": sends(BODY + _line("ERROR", {"code": 500, "message": "etcdserver: leader changed"})),
    "an error that is none": sends(BODY + _line("ERROR", {"code": "many"})),
    "a line without an end": sends(BODY + b"x" * (17 * MIB)),
}


@asynccontextmanager
async def _cache() -> AsyncIterator[ClusterCache]:
    connection = Connection()
    bindings = (labelled(*pool(1)),)
    api = KubernetesApi(connection, label_keys(bindings))
    cache = ClusterCache(
        bindings,
        api.namespaces(),
        {SERVICE_ACCOUNT: api.service_accounts(SERVICE_ACCOUNT)},
        wall_clock=time.time,
        grace=600,
    )
    running = asyncio.create_task(cache.run())
    try:
        yield cache
    finally:
        assert not running.done()
        running.cancel()
        connection.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  what a thread does becomes true at any time
            await asyncio.sleep(0.005)


def _mirror(folder: Path, monkeypatch: pytest.MonkeyPatch, watch: Callable[[socket.socket, str], None]) -> None:
    """The mirror is out of touch while `watch` is what the API server does, and follows once it does better."""
    monkeypatch.setattr(reflector, "pause_after", lambda _: 0.1)
    cluster = Cluster(watch)

    async def followed() -> None:
        async with _cache() as cache:
            await _until(lambda: cache.synced)
            await _until(lambda: not cache.in_touch)
            assert cache.cached(SUBJECT.namespace) is not None
            cluster.watch = _lives
            await _until(lambda: cache.in_touch)
            assert cache.cached(NEW) is not None

    with api_server(folder, monkeypatch, cluster):
        asyncio.run(followed())


@pytest.mark.usefixtures("nothing_unexpected")
@pytest.mark.parametrize("watch", WATCHES)
def test_a_watch_that_fails_in_any_way_is_out_of_touch_until_there_are_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: str
) -> None:
    _mirror(tmp_path, monkeypatch, WATCHES[watch])


@pytest.mark.parametrize("version", NO_VERSIONS.values(), ids=NO_VERSIONS)
def test_a_list_whose_version_is_no_number_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    page = {"metadata": {"resourceVersion": version}, "items": []}
    with api_server(tmp_path, monkeypatch, says(page)):
        connection = Connection()
        calls = [CALLS[name](connection) for name in ("namespaces", "newest version", "pods")]
        answers = asyncio.run(_answers(calls))
        connection.close()
    assert all(isinstance(answer, ClusterError) for answer in answers)


@pytest.mark.parametrize("slow", [name for name in SLOW if "error" not in name])
def test_a_watch_that_drips_or_is_silent_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(watches, "_OPEN_SECONDS", SOON)
    monkeypatch.setattr(watches, "_SILENCE_SECONDS", SOON)
    never = MisbehavingApiServer(_hangs_up)
    _mirror(tmp_path, monkeypatch, SLOW[slow](never))
    never.close()


def test_a_bug_of_ours_in_the_thread_of_a_watch_ends_it_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "_lines_of", lambda _: 1 / 0)
    before = _unexpected()

    async def ended() -> None:
        connection = Connection()
        with pytest.raises(ClusterError, match="ZeroDivisionError"):
            await anext(KubernetesApi(connection, []).namespaces().watch("7"))
        connection.close()

    with api_server(tmp_path, monkeypatch, _lives):
        asyncio.run(ended())
    assert _unexpected() == before + 1
