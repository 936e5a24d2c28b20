"""Slow bulk calls do not delay urgent ones."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from tests.support.misbehaving_api_server import api_server, says
from tests.support.sites import subject
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.kube.leases import Leases
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    import pytest

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
SUBJECT = subject(1)
CROWD = 50
AT_ONCE_S = 1.0
PATIENCE_S = 8.0
OBJECT = {"metadata": {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1"}, "issuer": "https://a"}


def test_lease_reads_look_ups_and_the_issuer_are_answered_while_patches_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches, released = threading.Semaphore(0), threading.Event()

    def answer(connection: socket.socket, request: str) -> None:
        if request.startswith("PATCH"):
            patches.release()
            released.wait(PATIENCE_S)
        says(OBJECT)(connection, request)

    async def look_up(to: Connection) -> float:
        """The seconds that an urgent call of each kind takes while as many patches are under way as can be."""
        patching = [asyncio.create_task(KubernetesApi(to, []).annotate(SUBJECT, ROLE, None)) for _ in range(CROWD)]
        await asyncio.to_thread(lambda: [patches.acquire(timeout=AT_ONCE_S) for _ in range(16)])
        began = time.monotonic()
        await Leases(to, "a").get("b")
        await KubernetesApi(to, []).namespace("a", AT_ONCE_S)
        await KubernetesApi(to, []).account(SUBJECT, AT_ONCE_S)
        await KubernetesApi(to, []).issuer()
        await KubernetesApi(to, []).token_issuer()
        took = time.monotonic() - began
        assert not any(one.done() for one in patching)
        released.set()
        assert all(await asyncio.gather(*patching))
        return took

    with api_server(tmp_path, monkeypatch, answer):
        connection = Connection()
        assert asyncio.run(look_up(connection)) < AT_ONCE_S
        connection.close()
