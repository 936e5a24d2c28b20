"""An owner nests what is passed over as deeply as the API server stores it: everything is read all the same."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.misbehaving_api_server import MIB, api_server, says, sends
from tests.support.sites import SERVICE_ACCOUNT, subject
from webhook.cli.snapshots.inspection import Inspection
from webhook.cli.snapshots.release import configuration_of_release, roles_written_before
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.kube.deployments import DeploymentApi
from webhook.kube.leases import Leases
from webhook.model.errors import ClusterError
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from webhook.controller.ports import Change

SUBJECT, OTHER = subject(1), subject(2)
ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
KEY = "control-plane"
DEEPEST = 9995
"""Levels that kube-apiserver stores."""

LEVELS = (10, 50, 990, DEEPEST)
CONFIGURATION = json.dumps(
    {
        "bindings": [
            {"name": "a", "serviceAccount": "b", "namespaces": {"pattern": "c"}, "mode": "irsa", "roles": [ROLE]}
        ]
    }
)


def _deep(levels: int, core: bytes = b"{}") -> bytes:
    """What an owner may write under `fieldsV1`: names hold what looks like JSON."""
    names = [b'"f:a"', b'"f:]}\\""', b'"f:{\\\\"', b'"f:\xff"']
    return b"".join(b"{%b:" % names[level % 4] for level in range(levels)) + core + b"}" * levels


def _object(owner: str, levels: int, **parts: Any) -> bytes:
    """An object whose managedFields are nested, with what is needed of it before and after them."""
    metadata = {
        "name": "x",
        "namespace": owner,
        "uid": f"uid-{owner}",
        "resourceVersion": "8",
        "managedFields": "@",
        "labels": {KEY: "a", "pod-template-hash": "b"},
        "annotations": {ROLE_ARN_ANNOTATION: ROLE, "mxp-identity/role-arn": ROLE},
        **parts.pop("metadata", {}),
    }
    fields = b'[{"manager":"m","fieldsV1":%b},{"fieldsV1":%b}]' % (_deep(levels), _deep(3, b"[[]]"))
    return json.dumps({"metadata": metadata, **parts}).encode().replace(b'"@"', fields)


POD = {
    "spec": {
        "serviceAccountName": SERVICE_ACCOUNT,
        "containers": [{"name": "a", "env": [{"name": "AWS_ROLE_ARN"}]}],
    }
}
DEPLOYMENT = {"spec": {"template": {"spec": {"serviceAccountName": SERVICE_ACCOUNT}}}}
REGISTRATION = {"webhooks": [{"name": "a", "clientConfig": {"caBundle": "YQ=="}}]}
NAMED = {"metadata": {"name": SUBJECT.namespace}}

LISTS: dict[str, tuple[dict[str, Any], Callable[[Connection], Awaitable[Any]]]] = {
    "namespaces": (
        NAMED,
        lambda to: _mirrored(KubernetesApi(to, [KEY]).namespaces()),
    ),
    "service accounts": ({}, lambda to: _mirrored(KubernetesApi(to, []).service_accounts(SERVICE_ACCOUNT))),
    "pods": (POD, lambda to: KubernetesApi(to, []).pods(SERVICE_ACCOUNT)),
    "deployments": (DEPLOYMENT, lambda to: DeploymentApi(to).named("x")),
    "annotations": ({}, lambda to: Inspection(to).accounts(SERVICE_ACCOUNT, None)),
    "pods of a command": (POD, lambda to: Inspection(to).pods(SERVICE_ACCOUNT, None)),
    "deployments of a command": (DEPLOYMENT, lambda to: Inspection(to).own_deployments("a")),
    "events": ({}, lambda to: Inspection(to).events("a", "b", None)),
    "registrations": (REGISTRATION, lambda to: Inspection(to).registrations("a")),
    "leases": ({}, lambda to: roles_written_before(to, "a")),
    "configuration": ({"data": {"config.yaml": CONFIGURATION}}, lambda to: configuration_of_release(to, "a")),
}

OBJECTS: dict[str, tuple[dict[str, Any], Callable[[Connection], Awaitable[Any]]]] = {
    "namespace": (NAMED, lambda to: KubernetesApi(to, [KEY]).namespace(SUBJECT.namespace, 5)),
    "service account": ({}, lambda to: KubernetesApi(to, []).account(SUBJECT, 5)),
    "deployment": (DEPLOYMENT, lambda to: DeploymentApi(to).get("a", "x")),
    "lease": ({}, lambda to: Leases(to, "a").get("x")),
}


async def _mirrored(source: Any) -> Any:
    return (await source.list())[0]


def _asked(call: Callable[[Connection], Awaitable[Any]]) -> Any:
    """What a call answers, or its error."""

    async def asked() -> Any:
        connection = Connection()
        try:
            return await call(connection)
        except ClusterError as error:
            return error
        finally:
            connection.close()

    return asyncio.run(asked())


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_with_a_deep_object_is_read_as_if_it_were_not_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, levels: int
) -> None:
    parts, call = LISTS[name]

    def page(depth: int) -> Callable[[socket.socket, str], None]:
        one = _object(SUBJECT.namespace, depth, **parts)
        return says(b'{"items":[%b],"metadata":{"resourceVersion":"7"}}' % one)

    found = []
    for depth in (levels, 1):
        with api_server(tmp_path, monkeypatch, page(depth)):
            found.append(_asked(call))
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", OBJECTS)
def test_a_deep_object_is_read_as_if_it_were_not_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, levels: int
) -> None:
    parts, call = OBJECTS[name]
    found = []
    for depth in (levels, 1):
        with api_server(tmp_path, monkeypatch, says(_object(SUBJECT.namespace, depth, **parts))):
            found.append(_asked(call))
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
def test_a_watch_shows_a_deep_object_and_what_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, levels: int
) -> None:
    def line(depth: int) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (kind.encode(), _object("", depth, **NAMED))

    after = b'{"type":"ADDED","object":%b}\n' % _object("", 1, metadata={"name": OTHER.namespace})
    shown = []
    for depth in (levels, 1):
        answer = sends(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + line(depth) + after)
        with api_server(tmp_path, monkeypatch, answer):
            shown.append(_asked(_changes))
    assert shown[0] == shown[1]
    assert [change.key for change in shown[0]] == [
        None if kind == "BOOKMARK" else SUBJECT.namespace,
        OTHER.namespace,
    ]


async def _changes(connection: Connection) -> list[Change[Any]]:
    return [change async for change in KubernetesApi(connection, [KEY]).namespaces().watch("7")]


NO_JSON = {
    "brackets without an end": b"[" * 100_000,
    "a string without an end": b"[" * 2000 + b'"' + b'\\"' * (2 * MIB),
    "too many ends": b"[" * 2000 + b"]" * 3000,
    "ends of another kind": b"[" * 2000 + b"}" * 2000,
    "nothing of it": b"[" * 2000 + b"x" + b"]" * 1999,
}


@pytest.mark.parametrize("case", NO_JSON)
def test_what_is_deep_and_no_json_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    body = b'{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"a":%b}}]}' % NO_JSON[case]
    with api_server(tmp_path, monkeypatch, says(body)):
        assert isinstance(_asked(lambda to: KubernetesApi(to, []).namespaces().list()), ClusterError)
