"""`serve` ends by a signal within its time, whatever the API server leaves it waiting for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from rig.pki import Authority
from rig.processes import Workspace
from rig.webhook import Webhook
from tests.support.misbehaving_api_server import api_server, says
from tests.support.sites import role, subject

if TYPE_CHECKING:
    import socket
    from pathlib import Path

GRACE_S = 15.0
"""The chart's terminationGracePeriodSeconds, after the draining."""

CONFIGURATION = {
    "namespace": "mxp-identity",
    "bindings": [
        {
            "name": "backup",
            "serviceAccount": subject(1).service_account,
            "namespaces": {"selector": {"matchExpressions": [{"key": "control-plane", "operator": "Exists"}]}},
            "mode": "irsa",
            "roles": [str(role())],
        }
    ],
}


def silent(connection: socket.socket, _: str) -> None:
    """No answer, and the connection stays open."""
    connection.recv(1)


def endless(connection: socket.socket, request: str) -> None:
    """A page a second of a list that has no end; no answer to anything else."""
    if "limit=" not in request:
        return silent(connection, request)
    time.sleep(1)
    says({"metadata": {"resourceVersion": "1", "continue": "more"}, "items": []})(connection, request)
    return None


@pytest.mark.parametrize("answer", [silent, endless])
def test_it_ends_within_its_time_though_lists_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    with api_server(tmp_path, monkeypatch, answer) as api, Workspace() as workspace:
        environment = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        one = Webhook(workspace, "webhook", CONFIGURATION, Authority("a"), environment)
        one.wait_until_serving()
        while not any("limit=" in request for request in api.requests):
            time.sleep(0.1)
        began = time.monotonic()
        assert one.terminate() == 0
    assert time.monotonic() - began < GRACE_S
