"""What owners put into their objects does not decide how much a list of all takes in memory."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.misbehaving_api_server import MIB, api_server, says
from tests.support.sites import SERVICE_ACCOUNT
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.kube.deployments import DeploymentApi
from webhook.model.errors import ClusterError
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

KB = 1000
MOST_BYTES = 20 * MIB
"""That a list may take: two pages, and what is read of them."""


@dataclass
class Store:
    """Answers a list as an API server does: `limit` objects at most, and where to go on."""

    sizes: list[int]
    item: Callable[[int, str], dict[str, Any]]
    """The object of that number, with so much text in it."""
    limits: list[int] = field(default_factory=list)

    def __call__(self, connection: socket.socket, request: str) -> None:
        query = parse_qs(urlsplit(request.split(" ")[1]).query)
        first, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
        self.limits.append(limit)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for part in self._parts(first, min(first + limit, len(self.sizes))):
            connection.sendall(part)

    def _parts(self, first: int, end: int) -> Iterator[bytes]:
        metadata = {"resourceVersion": "7"} | ({"continue": str(end)} if end < len(self.sizes) else {})
        yield b'{"metadata":' + json.dumps(metadata).encode() + b',"items":['
        for number in range(first, end):
            comma = b"," if number > first else b""
            yield comma + json.dumps(self.item(number, "x" * self.sizes[number])).encode()
        yield b"]}"


def _namespace(number: int, text: str) -> dict[str, Any]:
    return {"metadata": {"name": f"ns-{number}", "uid": "u", "annotations": {"a": text}}}


def _account(number: int, text: str) -> dict[str, Any]:
    metadata = {"namespace": f"ns-{number}", "name": SERVICE_ACCOUNT, "resourceVersion": "1"}
    return {"metadata": {**metadata, "annotations": {ROLE_ARN_ANNOTATION: f"{number}{text}"}}}


def _pod(number: int, text: str) -> dict[str, Any]:
    env = [{"name": "AWS_ROLE_ARN", "value": f"{number}{text}"}]
    spec = {"serviceAccountName": SERVICE_ACCOUNT, "containers": [{"name": "a", "env": env}]}
    return {"metadata": {"namespace": f"ns-{number}", "name": "pod", "uid": "u"}, "spec": spec}


def _deployment(number: int, text: str) -> dict[str, Any]:
    note = {"mxp-identity/restarted-for": text, "a": text}
    template = {"metadata": {"annotations": {"a": text}}, "spec": {}}
    return {
        "metadata": {"namespace": f"ns-{number}", "name": "a", "annotations": note},
        "spec": {"template": template},
    }


async def _namespaces(to: Connection) -> int:
    return len((await KubernetesApi(to, []).namespaces().list())[0])


async def _accounts(to: Connection) -> int:
    return len((await KubernetesApi(to, []).service_accounts(SERVICE_ACCOUNT).list())[0])


async def _pods(to: Connection) -> int:
    return len(await KubernetesApi(to, []).pods(SERVICE_ACCOUNT))


async def _deployments(to: Connection) -> int:
    return len(await DeploymentApi(to).named("a"))


LARGE: dict[
    str, tuple[list[int], Callable[[int, str], dict[str, Any]], Callable[[Connection], Awaitable[int]]]
] = {
    "namespaces with 250 KB of annotations each": ([250 * KB] * 200, _namespace, _namespaces),
    "ServiceAccounts whose role has 250 KB": ([250 * KB] * 200, _account, _accounts),
    "pods of 1.4 MB": ([1400 * KB] * 40, _pod, _pods),
    "Deployments of 750 KB": ([250 * KB] * 60, _deployment, _deployments),
    "a few namespaces that are large, of many": (
        [300] * 900 + [1400 * KB] * 9 + [300] * 900,
        _namespace,
        _namespaces,
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_list_of_large_objects_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    sizes, item, call = LARGE[case]
    with api_server(tmp_path, monkeypatch, Store(sizes, item)):
        connection = Connection()
        tracemalloc.start()
        try:
            assert asyncio.run(_counted(call, connection)) == len(sizes)
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            connection.close()
        assert peak < MOST_BYTES
        assert kept < 2 * MIB


async def _counted(call: Callable[[Connection], Awaitable[int]], connection: Connection) -> int:
    return await call(connection)


def test_an_object_at_the_end_of_what_etcd_takes_does_not_stop_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.5 MiB in etcd, all of it written as six characters a byte."""
    store = Store([300] * 700 + [9 * MIB] + [300] * 700, _namespace)
    with api_server(tmp_path, monkeypatch, store):
        connection = Connection()
        assert asyncio.run(_namespaces(connection)) == 1401
        connection.close()
    assert min(store.limits) == 1
    assert store.limits[-1] > 1
    assert len(store.limits) < 30


def test_an_object_that_no_etcd_has_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with api_server(tmp_path, monkeypatch, Store([300, 17 * MIB], _namespace)):
        connection = Connection()
        with pytest.raises(ClusterError, match="the answer has more than 12 MiB"):
            asyncio.run(_namespaces(connection))
        connection.close()


def test_lists_of_usual_objects_come_in_whole_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store([8 * KB] * 1200, _pod)
    with api_server(tmp_path, monkeypatch, store):
        connection = Connection()
        assert asyncio.run(_pods(connection)) == 1200
        connection.close()
    assert store.limits == [500, 500, 500]


def test_a_list_that_has_no_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.kube.lists.LONGEST_LIST", 0.5)
    endless = says({"metadata": {"resourceVersion": "7", "continue": "on"}, "items": [_namespace(1, "")]})
    with api_server(tmp_path, monkeypatch, endless):
        connection = Connection()
        with pytest.raises(ClusterError, match="GET /api/v1/namespaces: no complete answer within"):
            asyncio.run(asyncio.wait_for(_namespaces(connection), 10))
        connection.close()
