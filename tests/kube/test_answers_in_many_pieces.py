"""Answers just below their limits in as many pieces as fit, and the same failure thirty times: few bytes each."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from contextlib import contextmanager, suppress
from itertools import islice, product
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.misbehaving_api_server import MIB, api_server, says, sends
from tests.support.sites import SERVICE_ACCOUNT, subject
from tests.support.variants import variants
from webhook.controller import reflector
from webhook.controller.ports import MOST_OBJECTS
from webhook.controller.reflector import Reflector
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.kube.deployments import DeploymentApi
from webhook.kube.leases import Leases
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from webhook.controller.ports import Source

SUBJECT = subject(1)
PAGE, OBJECT, SINGLE = 6 * MIB - 4096, 12 * MIB - 4096, 4 * MIB - 4096
"""Bytes just below what is read of a page, of a page or a watch's line with one object, and of one object."""

MOST_BYTES = 100 * MIB
"""Room for one answer in a program of 256 MiB that has 103 at rest, the other watch and a list being as large."""

TIMES = 30
OPEN = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
METADATA = b'"namespace":"n","name":"mxp-a","uid":"u","resourceVersion":"8"'


def _many(piece: bytes, size: int) -> bytes:
    """Pieces with commas between them; the last one is as the others."""
    return b",".join([piece] * (size // (len(piece) + 1)))


def _numbered(size: int) -> bytes:
    """Members of an object, each with a name of its own: ten bytes with the comma."""
    names = islice(product(ascii_letters.encode(), repeat=4), size // 10)
    return b",".join(b'"%b":""' % bytes(name) for name in names)


def _item(inside: bytes = b"", spec: bytes = b"", status: bytes = b"") -> bytes:
    return b'{"metadata":{%b%b},"spec":{%b},"status":{%b}}' % (METADATA, inside, spec, status)


ITEMS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "labels of a namespace": ("namespaces", lambda size: _item(b',"labels":{%b}' % _numbered(size))),
    "annotations of a ServiceAccount": ("accounts", lambda size: _item(b',"annotations":{%b}' % _numbered(size))),
    "labels of a pod": ("pods", lambda size: _item(b',"labels":{%b}' % _numbered(size))),
    "annotations of a pod": ("pods", lambda size: _item(b',"annotations":{%b}' % _numbered(size))),
    "owners of a pod": (
        "pods",
        lambda size: _item(b',"ownerReferences":[%b]' % _many(b'{"kind":"","name":""}', size)),
    ),
    "owners of nothing": ("pods", lambda size: _item(b',"ownerReferences":[%b]' % _many(b"{}", size))),
    "containers": ("pods", lambda size: _item(spec=b'"containers":[%b]' % _many(b'{"name":""}', size))),
    "containers of nothing": ("pods", lambda size: _item(spec=b'"containers":[%b]' % _many(b"{}", size))),
    "variables": (
        "pods",
        lambda size: _item(spec=b'"containers":[{"name":"","env":[%b]}]' % _many(b'{"name":""}', size)),
    ),
    "a long name": ("pods", lambda size: _item(b',"name":"%b"' % (b"x" * (size - 8) + "😀".encode()))),
    "annotations of a Deployment": (
        "deployments",
        lambda size: _item(b',"annotations":{%b}' % _numbered(size), b'"template":{}'),
    ),
    "annotations of a template": (
        "deployments",
        lambda size: _item(spec=b'"template":{"metadata":{"annotations":{%b}}}' % _numbered(size)),
    ),
    "conditions": (
        "deployments",
        lambda size: _item(spec=b'"template":{}', status=b'"conditions":[%b]' % _many(b'{"type":""}', size)),
    ),
    "conditions of nothing": (
        "deployments",
        lambda size: _item(spec=b'"template":{}', status=b'"conditions":[%b]' % _many(b"{}", size)),
    ),
    "labels of nothing that is read": (
        "namespaces",
        lambda size: _item(b',"finalizers":[%b]' % _many(b"1", size)),
    ),
}

LISTS: dict[str, Any] = {
    "namespaces": lambda to: KubernetesApi(to, ["a"]).namespaces().list(),
    "accounts": lambda to: KubernetesApi(to, []).service_accounts(SERVICE_ACCOUNT).list(),
    "pods": lambda to: KubernetesApi(to, []).pods(SERVICE_ACCOUNT),
    "deployments": lambda to: DeploymentApi(to).named("a"),
}
SINGLES: dict[str, Any] = {
    "namespaces": lambda to: KubernetesApi(to, ["a"]).namespace(SUBJECT.namespace, 9),
    "accounts": lambda to: KubernetesApi(to, []).account(SUBJECT, 9),
    "deployments": lambda to: DeploymentApi(to).get("a", "b"),
    "leases": lambda to: Leases(to, "a").get("b"),
}


EACH = ("labels of a namespace", "annotations of a ServiceAccount", "variables", "conditions")
"""One of each kind for `make test`; `make proof` tries all."""


@pytest.fixture(scope="module", autouse=True)
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a first call imports is in memory before any is measured."""
    with (
        pytest.MonkeyPatch.context() as patch,
        api_server(tmp_path_factory.mktemp("first"), patch, says(_page(b""))),
    ):
        assert _asked(LISTS["namespaces"]) is not None


@contextmanager
def _few_bytes(most: int = MOST_BYTES) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.0f} MiB"
    assert kept < 2 * MIB, f"{kept / MIB:.1f} MiB"


def _asked(call: Any) -> Any:
    """What a call answers, or None where it is an error."""

    async def asked() -> Any:
        connection = Connection()
        try:
            return await asyncio.wait_for(call(connection), 60)
        except ClusterError:
            return None
        finally:
            connection.close()

    return asyncio.run(asked())


def _page(items: bytes, more: str = "") -> bytes:
    return b'{"metadata":{"resourceVersion":"7","continue":"%b"},"items":[%b]}' % (more.encode(), items)


@pytest.mark.parametrize("piece", variants([b"1", b"{}", b"[]", b'""', b'{"metadata":{}}', _item()]))
@pytest.mark.parametrize("name", LISTS)
def test_a_page_with_more_items_than_were_asked_for_is_an_error_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, piece: bytes
) -> None:
    body = _page(_many(piece, PAGE))
    with api_server(tmp_path, monkeypatch, says(body)), _few_bytes(20 * MIB):
        assert _asked(LISTS[name]) is None


@pytest.mark.parametrize("case", variants(ITEMS, *EACH))
def test_a_page_of_one_object_in_many_pieces_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    name, item = ITEMS[case]
    body = _page(item(OBJECT - 4096))
    with api_server(tmp_path, monkeypatch, says(body)), _few_bytes():
        _asked(LISTS[name])


@pytest.mark.parametrize("case", [case for case, (name, _) in ITEMS.items() if name in SINGLES])
def test_one_object_in_many_pieces_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    name, item = ITEMS[case]
    body = item(SINGLE - 4096)
    with api_server(tmp_path, monkeypatch, says(body)), _few_bytes():
        _asked(SINGLES[name])
        _asked(SINGLES["leases"])


def _watch(connection: Connection) -> Any:
    async def watched() -> list[Any]:
        return [change async for change in KubernetesApi(connection, ["a"]).namespaces().watch("7")]

    return watched()


@pytest.mark.parametrize("case", variants(ITEMS, *EACH))
def test_a_line_of_a_watch_in_many_pieces_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    line = b'{"type":"ADDED","object":%b}\n' % ITEMS[case][1](OBJECT - 4096)
    with api_server(tmp_path, monkeypatch, sends(OPEN + line)), _few_bytes():
        read = _asked(_watch)
    assert read or case == "a long name", "the line was read"


def test_a_line_of_a_watch_that_no_object_has_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"type":"ADDED","object":%b}\n' % _item(b',"annotations":{"a":"%b"}' % (b"x" * 13 * MIB))
    with api_server(tmp_path, monkeypatch, sends(OPEN + line)), _few_bytes():
        assert _asked(_watch) is None


# --- lists and watches without an end ----------------------------------------------------------------------------


def test_a_list_with_more_objects_than_any_cluster_has_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def endless(connection: socket.socket, request: str) -> None:
        nonlocal asked
        asked += 1
        items = [
            {"metadata": {"name": f"n-{asked}-{number}", "uid": "u", "namespace": "n", "resourceVersion": "1"}}
            for number in range(500)
        ]
        says(_page(json.dumps(items).encode()[1:-1], "on"))(connection, request)

    with api_server(tmp_path, monkeypatch, endless):
        assert _asked(LISTS["namespaces"]) is None
    assert asked == MOST_OBJECTS // 500 + 1


def test_a_list_that_goes_on_after_a_page_without_objects_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server(tmp_path, monkeypatch, says(_page(b"", "on"))) as server:
        assert _asked(LISTS["namespaces"]) is None
    assert len(server.requests) == 1


def test_a_mirror_keeps_no_more_objects_than_any_cluster_has_and_follows_a_better_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "pause_after", lambda _: 0.1)
    invented = 0

    def answer(connection: socket.socket, request: str) -> None:
        nonlocal invented
        if "watch=true" not in request:
            says(_page(_item()))(connection, request)
            return
        connection.sendall(OPEN)
        if invented:
            connection.sendall(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n')
            with suppress(OSError):
                connection.recv(1)
        while True:
            lines = [
                b'{"type":"ADDED","object":{"metadata":{"name":"n%d","uid":"u","resourceVersion":"8"}}}\n' % number
                for number in range(invented, invented + 1000)
            ]
            connection.sendall(b"".join(lines))
            invented += 1000

    sizes = [0]

    async def mirrored() -> None:
        connection = Connection()
        source: Source[Any] = KubernetesApi(connection, []).namespaces()
        mirror: Reflector[Any] = Reflector(source, lambda *_: sizes.append(len(mirror.objects)))
        running = asyncio.create_task(mirror.run())
        async with asyncio.timeout(60):
            while not (max(sizes) >= MOST_OBJECTS and mirror.in_touch and len(mirror.objects) == 1):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        running.cancel()
        connection.close()

    with api_server(tmp_path, monkeypatch, answer):
        asyncio.run(mirrored())
    assert max(sizes) == MOST_OBJECTS


# --- the same failure again and again ----------------------------------------------------------------------------


def _large(end: bytes) -> bytes:
    return _page(_item(b',"annotations":{"a":"%b"}' % (b"x" * 5 * MIB)) + end)


FAILURES: dict[str, tuple[Any, bytes]] = {
    "a page that is cut off": (LISTS["namespaces"], _large(b"")[:-1]),
    "a page with a broken item": (LISTS["namespaces"], _large(b",{}")),
    "a page of pods with a broken item": (LISTS["pods"], _large(b",[]")),
    "a page of Deployments with a broken item": (LISTS["deployments"], _large(b",[]")),
    "one object that is cut off": (SINGLES["namespaces"], _item(b',"a":"%b"' % (b"x" * 3 * MIB))[:-1]),
    "a Lease that is none": (SINGLES["leases"], b'["%b"]' % (b"x" * 3 * MIB)),
    "a line of a watch that is none": (_watch, b'["%b"]\n' % (b"x" * 5 * MIB)),
    "a line of a watch that is cut off": (_watch, b'["%b"]' % (b"x" * 5 * MIB)),
    "a line of a watch without an end": (_watch, b"x" * 13 * MIB),
}


@pytest.mark.parametrize("case", FAILURES)
def test_nothing_of_a_failed_answer_is_kept_until_the_garbage_collector_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    call, body = FAILURES[case]

    async def asked() -> None:
        connection = Connection()
        for _ in range(TIMES):
            with pytest.raises(ClusterError):
                await call(connection)
        connection.close()

    answer = sends(OPEN + body)
    gc.disable()
    try:
        with api_server(tmp_path, monkeypatch, answer), _few_bytes(45 * MIB):
            asyncio.run(asked())
    finally:
        gc.enable()


def test_an_error_that_is_kept_keeps_nothing_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[ClusterError] = []

    async def asked() -> None:
        connection = Connection()
        for _ in range(TIMES):
            try:
                await LISTS["namespaces"](connection)
            except ClusterError as error:
                kept.append(error)
        connection.close()

    with api_server(tmp_path, monkeypatch, says(_large(b",{}"))), _few_bytes(45 * MIB):
        asyncio.run(asked())
    assert len(kept) == TIMES
